#include "sluicectl/grammar/complete.hpp"

#include <gmock/gmock.h>

#include "sluicectl/grammar/manual.hpp"

namespace sluice::ctl {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Words = std::vector<std::string>;

// Completes the last word, which is being typed.
Words complete(const Words& words) {
  const auto names = [](const Resource& resource, const std::string& parent) -> Words {
    if (!parent.empty()) return {resource.singular + " of " + parent};
    return {"first " + resource.singular, "other " + resource.singular};
  };
  return candidates(read_typed(words), names);
}

TEST(Completion, BeginsWithTheNouns) {
  EXPECT_THAT(complete({""}), Contains("loadbalancer"));
  EXPECT_THAT(complete({""}), Contains("apply"));
  EXPECT_THAT(complete({"lo"}), ElementsAre("loadbalancer"));
}

TEST(Completion, KnowsNounsBelowOthersAndVerbsOfTwoWords) {
  EXPECT_THAT(complete({"lb", "l"}), ElementsAre("list", "listener"));
  EXPECT_THAT(complete({"loadbalancer", "listener", "s"}), ElementsAre("set", "show", "stats"));
  EXPECT_THAT(complete({"lb", "stats", ""}), ElementsAre("show"));
  EXPECT_THAT(complete({"floating", ""}), ElementsAre("ip"));
  EXPECT_THAT(complete({"floating", "ip", "cr"}), ElementsAre("create"));
}

TEST(Completion, OffersOptionsOnceUnlessTheyRepeat) {
  EXPECT_THAT(complete({"listener", "create", "--prot"}),
              ElementsAre("--protocol", "--protocol-port"));
  EXPECT_THAT(complete({"listener", "create", "--protocol", "TCP", "--prot"}),
              ElementsAre("--protocol-port"));
  EXPECT_THAT(complete({"listener", "create", "--tag", "a", "--ta"}), ElementsAre("--tag"));
}

TEST(Completion, OffersWhatAnOptionTakes) {
  EXPECT_THAT(complete({"listener", "create", "--protocol", "U"}), ElementsAre("UDP"));
  EXPECT_THAT(complete({"lb", "list", "-f", ""}),
              ElementsAre("csv", "json", "table", "value", "yaml"));
  EXPECT_THAT(complete({"events", "--type", "p"}), ElementsAre("pool"));
  EXPECT_THAT(complete({"events", "--kind", "h"}), ElementsAre("health"));
  EXPECT_THAT(complete({"lb", "list", "-c", "vip"}), ElementsAre("vip_address"));
  EXPECT_THAT(complete({"pool", "create", "--listener", "f"}), ElementsAre("first listener"));
  EXPECT_THAT(complete({"pool", "create", "--listener", "=", "o"}), ElementsAre("other listener"));
  EXPECT_THAT(complete({"floating-ip", "set", "--load-balancer", ""}),
              ElementsAre("first load balancer", "other load balancer"));
  EXPECT_THAT(complete({"lb", "create", "--name", ""}), IsEmpty());
}

TEST(Completion, OffersTheObjectsThatTheVerbIsAbout) {
  EXPECT_THAT(complete({"lb", "show", "o"}), ElementsAre("other load balancer"));
  EXPECT_THAT(complete({"member", "set", "--weight", "0", "f"}), ElementsAre("first pool"));
  EXPECT_THAT(complete({"member", "set", "--weight", "0", "web", ""}),
              ElementsAre("member of web"));
  EXPECT_THAT(complete({"member", "set", "web", "one", ""}), IsEmpty());
  EXPECT_THAT(complete({"lb", "create", ""}), IsEmpty());
}

TEST(Completion, SurvivesAnything) {
  for (const auto& words : {Words{}, Words{"--"}, Words{"nonsense", ""}, Words{"--format"},
                            Words{"lb", "--socket"}, Words{"=", "=", ""}, Words{"drops", ""}})
    EXPECT_THAT(complete(words), Not(Contains("")));
}

TEST(Manual, HoldsEveryCommandWithItsOptions) {
  const auto text = manual();
  EXPECT_THAT(text, HasSubstr(".SS \"loadbalancer member set [OPTION...] POOL MEMBER\""));
  EXPECT_THAT(text, HasSubstr("\\fB\\-\\-sort\\-column\\fR \\fICOLUMN\\fR"));
}

}  // namespace
}  // namespace sluice::ctl
