// The rates of `sluicectl top`.
#include "sluicectl/output/rates.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace sluice::ctl {
namespace {

Snapshot snapshot(const std::string& text) {
  return read_snapshot(boost::json::parse(text).as_object()).value();
}

const char* const before = R"({
  "listeners": [{"id": "a", "name": "web", "owner": "lb", "address": "10.0.0.16:80",
                 "operating_status": "ONLINE", "active_connections": 3, "total_connections": 100,
                 "failed_connections": 1, "refused_connections": 5, "packets_in": 1000,
                 "packets_out": 2000, "bytes_in": 10000, "bytes_out": 500000}],
  "members": [{"id": "m", "name": "", "total_connections": 50}],
  "reasons": [{"label": "forwarded", "verdict": "forward", "packets": 900},
              {"label": "no_flow", "verdict": "drop", "packets": 10},
              {"label": "no_listener", "verdict": "drop", "packets": 0},
              {"label": "martian_source", "verdict": "drop", "packets": 7}]})";
const char* const later = R"({
  "listeners": [{"id": "a", "name": "web", "owner": "lb", "address": "10.0.0.16:80",
                 "operating_status": "DEGRADED", "active_connections": 4, "total_connections": 130,
                 "failed_connections": 1, "refused_connections": 15, "packets_in": 3000,
                 "packets_out": 2000, "bytes_in": 11000, "bytes_out": 500000}],
  "members": [{"id": "m", "name": "", "total_connections": 40}, {"id": "n", "total_connections": 9}],
  "reasons": [{"label": "forwarded", "verdict": "forward", "packets": 9000},
              {"label": "no_flow", "verdict": "drop", "packets": 10},
              {"label": "no_listener", "verdict": "drop", "packets": 0},
              {"label": "martian_source", "verdict": "drop", "packets": 27}]})";

TEST(Rates, AreTheDifferenceOverTheTimeBetween) {
  const auto first = snapshot(before);
  const auto screen = compare(&first, snapshot(later), 2);
  ASSERT_EQ(screen.listeners.size(), 1U);
  const auto& web = screen.listeners[0];
  EXPECT_EQ(web.now.active, 4);
  EXPECT_EQ(web.now.status, "DEGRADED");
  EXPECT_EQ(web.opened, 15);
  EXPECT_EQ(web.failed, 0);
  EXPECT_EQ(web.refused, 5);
  EXPECT_EQ(web.packets_in, 1000);
  EXPECT_EQ(web.packets_out, 0);
  EXPECT_EQ(web.bits_in, 4000);
}

TEST(Rates, OfWhatIsNewOrBeganAnewAreUnknown) {
  const auto first = snapshot(before);
  const auto screen = compare(&first, snapshot(later), 2);
  ASSERT_EQ(screen.members.size(), 2U);
  EXPECT_EQ(screen.members[0].opened, std::nullopt) << "the counter went backwards";
  EXPECT_EQ(screen.members[1].opened, std::nullopt) << "it was not there before";
  EXPECT_EQ(compare(nullptr, first, 0).listeners[0].opened, std::nullopt);
}

TEST(Rates, DropsThatCameAreListedFastestFirst) {
  const auto first = snapshot(before);
  const auto reasons = compare(&first, snapshot(later), 2).reasons;
  ASSERT_EQ(reasons.size(), 2U);
  EXPECT_EQ(reasons[0].label, "martian_source");
  EXPECT_EQ(reasons[0].rate, 10);
  EXPECT_EQ(reasons[1].label, "no_flow");
  EXPECT_EQ(reasons[1].rate, 0);
}

TEST(Rates, AreShownShort) {
  EXPECT_EQ(short_number(std::nullopt), "-");
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(999), "999");
  EXPECT_EQ(short_number(0.5), "0.5");
  EXPECT_EQ(short_number(1234), "1.2k");
  EXPECT_EQ(short_number(2'500'000'000.0), "2.5G");
}

std::string health(const char* earlier, const char* now) {
  const auto was = snapshot(earlier);
  std::string text;
  for (const auto& line : compare(&was, snapshot(now), 2).health)
    text += line.subject + ": " + line.text + "\n";
  return text;
}

TEST(Rates, OfTheEventLoopAreShownWithTheStoreAndTheTables) {
  EXPECT_EQ(
      health(R"({"listeners": [], "members": [], "reasons": [], "health": {
                       "event_loop": {"turns": 100, "slow_turns": 0, "cpu_seconds": 1.0,
                                      "longest_turn_seconds": 0.004},
                       "store": {"failure": "", "waits_seconds": 0}, "tables": []}})",
             R"({"listeners": [], "members": [], "reasons": [], "health": {
                       "event_loop": {"turns": 300, "slow_turns": 1, "cpu_seconds": 1.1,
                                      "longest_turn_seconds": 0.15},
                       "store": {"failure": "disk full", "waits_seconds": 0.1},
                       "tables": [{"table": "flows4", "connections": 250, "capacity": 1000}]}})"),
      "event loop: busy 5.0 %, 100 turns/s of 0.50 ms, longest 150 ms, 1 over 100 ms since the "
      "start\n"
      "store: refuses changes: disk full\n"
      "flows4: 250 of 1000 connections, 25.0 % full\n");
}

TEST(Rates, AStoreThatHangsIsSeen) {
  const auto* now = R"({"listeners": [], "members": [], "reasons": [], "health": {
                        "event_loop": {"turns": 1}, "store": {"failure": "", "waits_seconds": 12.4}}})";
  EXPECT_NE(health(now, now).find("store: at a change for 12 s\n"), std::string::npos);
  EXPECT_EQ(health(before, later), "") << "an older sluiced doesn't tell";
}

TEST(Rates, AFleetHasALineAboveTheTables) {
  const auto first_line = [](const std::string& fleet) {
    const auto now = snapshot(R"({"listeners": [], "members": [], "reasons": [], "health": {)" +
                              fleet + R"("store": {"failure": ""}}})");
    const auto text = text_of(compare(nullptr, now, 0));
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(first_line(R"("fleet": {"state": "FOLLOWING", "reason": "", "generation": 12,
                                    "nodes": 3},)"),
            "fleet: FOLLOWING, generation 12, 3 nodes");
  EXPECT_EQ(first_line(R"("fleet": {"state": "CUT_OFF", "reason": "no\u001b[2Jquorum\n",
                                    "generation": 12, "nodes": 1},)"),
            "fleet: CUT_OFF, generation 12, 1 node: no\\x1b[2Jquorum\\x0a");
  EXPECT_EQ(first_line("").find("fleet"), std::string::npos) << "of a node alone";
}

TEST(Rates, ASystemWithNothingInItHasAScreenToo) {
  const auto nothing = snapshot(R"({"listeners": [], "members": [], "reasons": []})");
  EXPECT_NE(text_of(compare(&nothing, nothing, 1)), "");
}

TEST(Rates, AnAnswerOfAnotherShapeIsAnError) {
  EXPECT_FALSE(read_snapshot(boost::json::parse(R"({"listeners": 5})").as_object()));
}

}  // namespace
}  // namespace sluice::ctl
