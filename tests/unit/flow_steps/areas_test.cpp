// Every order of the steps by which the flow table's area changes under traffic: none leads to a
// forbidden state. With a rule switched off, the search finds a way to one.
#include "areas.hpp"

#include <gmock/gmock.h>

namespace sluice::test::areas {
namespace {

using ::testing::HasSubstr;

constexpr Operation insert(char key) {
  return {Kind::insert, key};
}
constexpr Operation remove(char key) {
  return {Kind::remove, key};
}
constexpr Operation must_insert(char key) {
  return {Kind::insert, key, true};
}
// Of a flow that may be removed.
constexpr Operation event(char key) {
  return {Kind::event, key};
}
constexpr Operation must_note(char key) {
  return {Kind::event, key, true};
}
constexpr Operation must_find(char key) {
  return {Kind::read, key, true};
}
constexpr Operation move_to(Area area) {
  return {Kind::move, 0, false, area};
}

// Flows are looked up while the area grows and shrinks.
const Scenario found{{"a.", ".."}, small, small, {move_to(whole), must_find('a')}};
const Scenario both_found{
    {"ab", ".."}, small, small, {move_to(whole), must_find('a'), must_find('b')}};
const Scenario shrinking{{"..", "a."}, whole, whole, {move_to(small), must_find('a'), insert('b')}};
// A change goes on that was not finished, or goes back.
const Scenario goes_on{
    {"a.", "b."}, whole, small, {move_to(whole), must_find('a'), must_find('b')}};
const Scenario goes_back{
    {"a.", "b."}, whole, small, {move_to(small), must_find('a'), must_find('b')}};
const Scenario back_under_traffic{
    {".", "a."}, whole, small, {move_to(small), insert('b'), insert('b'), must_find('a')}};
// Connections are opened, the same one by two CPUs.
const Scenario opened{{".", ".."}, small, small, {move_to(whole), insert('a')}};
const Scenario twice{{".", ".."}, small, small, {move_to(whole), insert('a'), insert('a')}};
const Scenario known{{"a", ".."}, small, small, {move_to(whole), insert('a'), must_find('a')}};
// The area grows and shrinks again.
const Scenario there_and_back{
    {".", ".."}, small, small, {move_to(whole), move_to(small), insert('a'), insert('a')}};
const Scenario replaced_there_and_back{
    {"a", ".."}, small, small, {move_to(whole), move_to(small), remove('a'), insert('a')}};
// The small area is full when a connection comes, or two.
const Scenario burst{
    {"ab", ".."}, small, small, {must_insert('c'), must_insert('c'), must_find('a')}};
const Scenario burst_and_move{
    {"a", ".."}, small, small, {move_to(whole), must_insert('c'), must_find('a')}};
// Packets note something in a flow that is being moved, and it is removed, and comes again.
const Scenario noted{{"a", ".."}, small, small, {move_to(whole), must_note('a'), must_find('a')}};
const Scenario removed{{"a", ".."}, small, small, {move_to(whole), remove('a'), event('a')}};
const Scenario removed_twice{{"a", ".."}, small, small, {move_to(whole), remove('a'), remove('a')}};
const Scenario replaced{{"a", ".."}, small, small, {move_to(whole), remove('a'), insert('a')}};
const Scenario replaced_twice{
    {"a", ".."}, small, small, {move_to(whole), remove('a'), insert('a'), insert('a')}};
const Scenario noted_and_replaced{
    {"a", ".."}, small, small, {move_to(whole), remove('a'), event('a'), insert('a')}};
const Scenario removed_twice_and_replaced{
    {"a", ".."}, small, small, {move_to(whole), remove('a'), remove('a'), insert('a')}};
const Scenario noted_twice{
    {"a", ".."}, small, small, {move_to(whole), must_note('a'), must_note('a')}};

const Scenario* const all[] = {&found,
                               &both_found,
                               &shrinking,
                               &goes_on,
                               &goes_back,
                               &back_under_traffic,
                               &opened,
                               &twice,
                               &known,
                               &there_and_back,
                               &replaced_there_and_back,
                               &burst,
                               &burst_and_move,
                               &noted,
                               &removed,
                               &removed_twice,
                               &replaced,
                               &replaced_twice,
                               &noted_and_replaced,
                               &removed_twice_and_replaced};

TEST(AreaSteps, NoOrderOfTheStepsLeadsToAFault) {
  std::size_t states = 0;
  for (const auto* scenario : all) {
    const auto finding = search(*scenario, Rules{});
    EXPECT_EQ(finding.fault, "") << scenario->flows[small] << "|" << scenario->flows[whole] << ": "
                                 << finding.text();
    states += finding.states;
  }
  EXPECT_GT(states, 100'000U);  // the search was not trivial
}

// The fault that the search finds without a rule, and the last step that leads there.
std::string fault_without(bool Rules::*rule, const Scenario& scenario) {
  Rules rules;
  rules.*rule = false;
  const auto finding = search(scenario, rules);
  return finding.steps.empty() ? finding.fault : finding.fault + ": " + finding.steps.back();
}

TEST(AreaSteps, ASearchThatDoesNotLookAtTheWordAgainMissesAFlow) {
  EXPECT_THAT(fault_without(&Rules::look_at_word_after_miss, found), HasSubstr("misses a flow"));
}

TEST(AreaSteps, ASearchThatLooksIntoEachAreaOnceMissesAFlow) {
  EXPECT_THAT(fault_without(&Rules::look_thrice, found), HasSubstr("misses a flow"));
}

TEST(AreaSteps, WithTheNewHomeAloneLockedAKeyIsInsertedTwice) {
  EXPECT_THAT(fault_without(&Rules::lock_both_homes, twice), HasSubstr("in the table twice"));
}

TEST(AreaSteps, InsertionsThatLockTheNewHomeFirstWaitForEachOther) {
  EXPECT_THAT(fault_without(&Rules::lower_home_first, back_under_traffic),
              HasSubstr("nobody can go on"));
}

TEST(AreaSteps, AnInsertionThatDoesNotLookAtTheWordUnderTheLocksComesToAnAreaThatIsForgotten) {
  EXPECT_THAT(fault_without(&Rules::look_at_word_under_locks, opened),
              HasSubstr("where nobody looks"));
}

TEST(AreaSteps, AnInsertionThatLooksIntoTheNewAreaAloneGivesAKeyAwayTwice) {
  EXPECT_THAT(fault_without(&Rules::look_into_old_area, known), HasSubstr("in the table twice"));
}

TEST(AreaSteps, AnAreaThatDoesNotGrowInABurstHasNoRoom) {
  EXPECT_THAT(fault_without(&Rules::grow_in_a_burst, burst), HasSubstr("finds no room"));
}

TEST(AreaSteps, AMoverThatDoesNotWaitForLocksLeavesAFlowInAnAreaThatIsForgotten) {
  EXPECT_THAT(fault_without(&Rules::wait_for_locks, opened), HasSubstr("where nobody looks"));
}

TEST(AreaSteps, AFlowThatIsTakenOutBeforeItsCopyIsThereIsMissed) {
  EXPECT_THAT(fault_without(&Rules::publish_before_close, found), HasSubstr("misses a flow"));
}

TEST(AreaSteps, AMoverThatClosesTheOldCopyInAnyStateLosesAnEvent) {
  EXPECT_THAT(fault_without(&Rules::close_as_copied, noted), HasSubstr("an event is lost"));
}

TEST(AreaSteps, AMoverThatDoesNotBringWhatWasNotedLosesAnEvent) {
  EXPECT_THAT(fault_without(&Rules::bring_notes, noted), HasSubstr("an event is lost"));
}

TEST(AreaSteps, AnEventThatDoesNotSearchAgainIsLost) {
  EXPECT_THAT(fault_without(&Rules::search_again, noted), HasSubstr("an event is lost"));
}

// Another event must have been faster, and the mover come between the two looks.
TEST(AreaSteps, AnEventThatLooksAtTheKeyAndThenAtTheStateIsLost) {
  EXPECT_THAT(fault_without(&Rules::look_at_state_once, noted_twice),
              HasSubstr("an event is lost: CPU 2 (event a) sees no flow"));
}

TEST(AreaSteps, ACopyThatIsNotTakenBackIsAFlowThatWasRemoved) {
  EXPECT_THAT(fault_without(&Rules::take_back_copies, removed), HasSubstr("is there again"));
}

TEST(AreaSteps, AMoverThatTriesOnceToTakeACopyBackIsStoppedByAnEvent) {
  EXPECT_THAT(fault_without(&Rules::take_back_until_done, removed), HasSubstr("is there again"));
}

TEST(AreaSteps, AMoverThatSearchesForItsCopyTakesAnotherFlowBack) {
  EXPECT_THAT(fault_without(&Rules::know_copy, removed_twice_and_replaced),
              HasSubstr("happens to another: CPU 0 (move) takes back the copy"));
}

TEST(AreaSteps, AMoverThatLooksAtTheStateAloneNotesSomethingInAFreedSlot) {
  EXPECT_THAT(fault_without(&Rules::note_in_flows_only, removed), HasSubstr("a slot without one"));
}

// The remaining weaknesses. While both copies are there, one packet may have found the old one and
// another the new one. What the new copy says is later, and stays.
TEST(AreaSteps, OfTwoEventsInTwoCopiesTheLaterOneStays) {
  const auto finding = search(noted_twice, Rules{});
  EXPECT_THAT(finding.fault, HasSubstr("an event is lost"));
  EXPECT_THAT(finding.text(), HasSubstr("CPU 0 (move) sees a later state"));
}

// A packet searches twice. In between its flow would have to be moved, and moved back.
TEST(AreaSteps, AFlowThatIsMovedTwiceWhileAPacketIsOnItsWayIsMissed) {
  const Scenario two_moves{
      {"a", ".."}, small, small, {move_to(whole), move_to(small), must_find('a')}};
  EXPECT_THAT(search(two_moves, Rules{}).fault, HasSubstr("misses a flow"));
}

}  // namespace
}  // namespace sluice::test::areas
