// Every order of the flow table's steps on a tiny table: none leads to a forbidden state. With a
// rule switched off, the search finds a way to one.
#include <gmock/gmock.h>

#include "search.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;

constexpr Operation insert(char key) {
  return {Kind::insert, key};
}
constexpr Operation remove(char key) {
  return {Kind::remove, key};
}
constexpr Operation event(char key) {
  return {Kind::event, key};
}
constexpr Operation read(char key) {
  return {Kind::read, key};
}
constexpr Operation must_find(char key) {
  return {Kind::read, key, true};
}

// Flows come and go in a full table.
const Scenario full{"abc", {remove('b'), insert('d'), remove('c'), insert('e')}};
// A flow is removed while its packet changes its state, and another one comes.
const Scenario replaced{"a..", {event('a'), remove('a'), insert('b'), event('b'), read('b')}};
// Two CPUs open the same connection while another one is removed.
const Scenario twice{"a..", {insert('b'), insert('b'), remove('a'), read('b')}};
// A slot changes hands there and back while somebody reads it.
const Scenario turns{"a..", {read('a'), remove('a'), insert('b'), insert('a')}};
// The flow in front is removed while the one behind is looked up, and others come.
const Scenario behind{"ab.", {must_find('b'), remove('a'), insert('c'), insert('d')}};
// A flow is looked up as soon as it is in the table.
const Scenario found_at_once{"a..",
                             {insert('b'), {Kind::read, 'b', true, 0}, remove('a'), insert('c')}};
const Scenario two_removals{"abc", {remove('b'), remove('b'), insert('b'), must_find('c')}};

const Scenario* const all[] = {&full,   &replaced,      &twice,       &turns,
                               &behind, &found_at_once, &two_removals};

TEST(FlowSteps, NoOrderOfTheStepsLeadsToAFault) {
  std::size_t states = 0;
  for (const auto* scenario : all) {
    const auto finding = search(*scenario, Rules{});
    EXPECT_EQ(finding.fault, "") << scenario->flows << ": " << finding.text();
    states += finding.states;
  }
  EXPECT_GT(states, 10'000U);  // the search was not trivial
}

TEST(FlowSteps, ARemovalThatFreesItsSlotFirstCarriesIntoTheLock) {
  Rules rules;
  rules.uncount_before_free = false;
  EXPECT_THAT(search(full, rules).fault, HasSubstr("carries into the lock"));
}

TEST(FlowSteps, AnEventThatLooksAtTheStateOnlyHitsAnotherFlow) {
  Rules rules;
  rules.look_at_key = rules.slots_rest = false;
  EXPECT_THAT(search(replaced, rules).fault, HasSubstr("happens to another"));
}

TEST(FlowSteps, ALookAtTheKeyIsNotEnoughWhereASlotIsReusedAtOnce) {
  Rules rules;
  rules.slots_rest = false;
  EXPECT_THAT(search(replaced, rules).fault, HasSubstr("happens to another"));
}

// The remaining weakness, for which a generation count in the slot would be better than rest.
TEST(FlowSteps, InAFullWindowASlotCannotRest) {
  const Scenario no_other{"abc", {event('a'), remove('a'), insert('d')}};
  EXPECT_THAT(search(no_other, Rules{}).fault, HasSubstr("happens to another"));
}

TEST(FlowSteps, WithoutTheLockAKeyIsInsertedTwice) {
  Rules rules;
  rules.lock_home = false;
  EXPECT_THAT(search(twice, rules).fault, HasSubstr("twice"));
}

TEST(FlowSteps, AReaderThatLooksOnceMixesTwoFlows) {
  Rules rules;
  rules.look_twice = rules.slots_rest = false;
  EXPECT_THAT(search(turns, rules).fault, HasSubstr("another flow's tuple"));
}

TEST(FlowSteps, AFlowThatIsPublishedBeforeItIsCountedIsMissed) {
  Rules rules;
  rules.count_before_publish = false;
  EXPECT_THAT(search(found_at_once, rules).fault, HasSubstr("misses a flow"));
}

}  // namespace
}  // namespace sluice::test
