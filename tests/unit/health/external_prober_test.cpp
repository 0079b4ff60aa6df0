// EXTERNAL probes, with a helper that the test plays, and a clock that it sets.
#include "health/external_prober.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <deque>

#include "health/check_message.hpp"

namespace sluice::health {
namespace {

using namespace std::chrono_literals;
using Verdict = ProbeResult::Verdict;
using Kind = CheckReply::Kind;

class ExternalProberTest : public testing::Test {
 protected:
  ExternalProberTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()), 0);
    helper = UniqueFd(ends[1]);
    prober.emplace(context.get_executor(), UniqueFd(ends[0]), 2, [this] { return now; });
  }

  // Starts a probe; its result will be in `results`.
  std::unique_ptr<Probe> start(const std::string& check = "deep") {
    const Endpoint member(parse_ip_address("2001:db8::5").value(), 5432);
    auto probe = prober->start(
        check, member, 7, [this](ProbeResult result) { results.push_back(std::move(result)); });
    if (probe) return std::move(*probe);
    results.push_back(probe.error());
    return nullptr;
  }
  // The next request that the helper has; nullopt: none.
  std::optional<CheckRequest> asked() {
    CheckRequest request{};
    if (recv(helper.get(), &request, sizeof request, MSG_DONTWAIT) <= 0) return std::nullopt;
    return request;
  }
  void say(Kind kind, std::uint64_t id, int status = 0, std::string_view text = {}) {
    CheckReply reply{};
    reply.kind = kind;
    reply.id = id;
    reply.status = status;
    reply.length = static_cast<std::uint32_t>(text.copy(reply.text, sizeof reply.text));
    ASSERT_GT(send(helper.get(), &reply, sizeof reply, 0), 0);
    run();
  }
  void run() {
    context.restart();
    context.run_for(20ms);
  }

  boost::asio::io_context context;
  UniqueFd helper;
  ExternalProber::Time now{};
  std::optional<ExternalProber> prober;
  std::deque<ProbeResult> results;
};

TEST_F(ExternalProberTest, TheHelperGetsNamesAndNumbersOnlyAndItsAnswerIsTheResult) {
  const auto probe = start();
  const auto request = asked();
  ASSERT_TRUE(request);
  EXPECT_STREQ(request->check, "deep");
  EXPECT_STREQ(request->address, "2001:db8::5");
  EXPECT_EQ(request->port, 5432);
  EXPECT_EQ(request->seconds, 7U);
  say(Kind::ended, request->id, 1 << 8, "lag 2 h\n");
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].verdict, Verdict::failed);
  EXPECT_EQ(results[0].reason, "lag 2 h (exit status 1)");
}

TEST_F(ExternalProberTest, WhoWaitsForItsTurnHasItsWholeTimeFromThen) {
  const auto first = start(), second = start();
  const auto third = start();
  const auto id = asked()->id;
  asked();
  EXPECT_FALSE(asked()) << "two at once";
  now += 60s;
  EXPECT_EQ(third->extra_time(7s), 7s);
  EXPECT_LE(first->extra_time(7s), 0s);
  say(Kind::ended, id);
  EXPECT_TRUE(asked());
  now += 3s;
  EXPECT_EQ(third->extra_time(7s), 4s);
}

TEST_F(ExternalProberTest, AProbeThatIsDroppedIsStoppedAndFreesItsPlaceWhenItHasEnded) {
  auto first = start();
  const auto second = start();
  const auto id = asked()->id;
  asked();
  auto never = start();
  const auto third = start();
  first.reset();
  never.reset();  // had not begun
  const auto stop = asked();
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->kind, CheckRequest::Kind::stop);
  EXPECT_EQ(stop->id, id);
  EXPECT_FALSE(asked()) << "it may still run";
  say(Kind::ended, id, 9);
  EXPECT_TRUE(asked());
  EXPECT_TRUE(results.empty());
}

TEST_F(ExternalProberTest, WhatCantBeRunSaysNothingAboutTheMember) {
  const auto probe = start();
  say(Kind::refused, asked()->id, 0, "check 'deep' can't be run: Permission denied");
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].verdict, Verdict::none);
  EXPECT_EQ(results[0].reason, "check 'deep' can't be run: Permission denied");
}

TEST_F(ExternalProberTest, TooMuchOutputIsAFailure) {
  const auto probe = start();
  say(Kind::flooded, asked()->id);
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].verdict, Verdict::failed);
  EXPECT_EQ(results[0].reason, "wrote more than 64 KiB of output");
}

TEST_F(ExternalProberTest, ANewHelperGoesOnAndNobodyIsDownForTheOldOnesEnd) {
  const auto first = start(), second = start();
  const auto old = asked()->id;
  asked();
  const auto third = start();
  say(Kind::anew, 0);
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].verdict, Verdict::none);
  EXPECT_EQ(results[1].verdict, Verdict::none);
  say(Kind::ended, old, 1 << 8);  // too late
  EXPECT_EQ(results.size(), 2U);
  say(Kind::ended, asked()->id);
  EXPECT_EQ(results.back().verdict, Verdict::healthy);
}

TEST_F(ExternalProberTest, WithoutAHelperNothingIsSaidAboutAnybody) {
  const auto first = start(), second = start(), waiting = start();
  helper.reset();
  run();
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(start(), nullptr);
  for (const auto& result : results) {
    EXPECT_EQ(result.verdict, Verdict::none);
    EXPECT_EQ(result.reason, "the helper that runs checks has ended: restart sluiced");
  }
}

}  // namespace
}  // namespace sluice::health
