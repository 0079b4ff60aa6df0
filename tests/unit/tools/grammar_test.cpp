#include "sluicectl/grammar/grammar.hpp"

#include <gmock/gmock.h>

#include "sluicectl/grammar/help.hpp"

namespace sluice::ctl {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Invocation parsed(const std::vector<std::string>& arguments) {
  auto result = parse(arguments);
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result.value_or(Invocation{});
}

std::string refusal(const std::vector<std::string>& arguments) {
  const auto result = parse(arguments);
  EXPECT_FALSE(result.has_value());
  return result ? "" : result.error().message;
}

TEST(Grammar, TakesTheWalkthroughsLines) {
  const auto invocation = parsed({"loadbalancer", "member", "create", "--name", "80_member_1",
                                  "--address", "10.0.0.4", "--protocol-port", "80", "80_pool"});
  EXPECT_EQ(invocation.noun, &member_noun());
  EXPECT_EQ(invocation.verb->name, "create");
  EXPECT_EQ(invocation.positionals.at("POOL"), "80_pool");
  EXPECT_EQ(invocation.value("address"), "10.0.0.4");
}

TEST(Grammar, KnowsTheShortForms) {
  EXPECT_EQ(parsed({"lb", "list"}).noun, &load_balancer_noun());
  EXPECT_EQ(parsed({"lb", "listener", "list"}).noun, &listener_noun());
  EXPECT_EQ(parsed({"listener", "list"}).noun, &listener_noun());
  EXPECT_EQ(parsed({"lb", "stats", "show", "x"}).verb->name, "stats show");
  EXPECT_EQ(parsed({"drops"}).noun, &drops_noun());
}

TEST(Grammar, GeneralOptionsMayStandAnywhere) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"--socket", "/s", "-f", "json", "lb", "list"},
                                             {"lb", "--socket", "/s", "list", "-f", "json"},
                                             {"lb", "list", "--socket=/s", "--format=json"}}) {
    const auto invocation = parsed(arguments);
    EXPECT_EQ(invocation.value("socket"), "/s");
    EXPECT_EQ(invocation.value("format"), "json");
  }
}

TEST(Grammar, OptionsMayFollowPositionals) {
  const auto invocation = parsed({"member", "set", "p", "--weight", "0", "m"});
  EXPECT_EQ(invocation.positionals.at("POOL"), "p");
  EXPECT_EQ(invocation.positionals.at("MEMBER"), "m");
}

TEST(Grammar, ValuesMayBeNegativeOrEmpty) {
  EXPECT_EQ(parsed({"listener", "set", "--connection-limit", "-1", "l"}).value("connection-limit"),
            "-1");
  const auto invocation = parsed({"lb", "set", "--description", "", "x"});
  EXPECT_TRUE(invocation.has("description"));
  EXPECT_EQ(invocation.value("description"), "");
  EXPECT_TRUE(parsed({"lb", "set", "--description=", "x"}).has("description"));
  EXPECT_EQ(invocation.positionals.at("LOADBALANCER"), "x");
}

TEST(Grammar, SuggestsTheWordThatWasMeant) {
  EXPECT_EQ(refusal({"loadbalancer", "creat"}),
            "unknown verb 'creat' for 'loadbalancer' (did you mean 'create'? see 'sluicectl "
            "loadbalancer --help')");
  EXPECT_THAT(refusal({"listner", "list"}),
              StartsWith("unknown command 'listner' (did you mean 'listener'?"));
  EXPECT_THAT(refusal({"lb", "stats", "x"}), HasSubstr("did you mean 'stats show'?"));
  EXPECT_THAT(refusal({"listener", "create", "--protocl", "TCP"}),
              StartsWith("unknown option '--protocl' (did you mean '--protocol'?"));
  EXPECT_EQ(refusal({"lb", "zzzz"}),
            "unknown verb 'zzzz' for 'loadbalancer' (see 'sluicectl loadbalancer --help')");
}

TEST(Grammar, NamesWhatIsMissing) {
  EXPECT_THAT(refusal({}), StartsWith("a command is missing"));
  EXPECT_THAT(refusal({"pool"}), StartsWith("'loadbalancer pool' needs a verb: create, list"));
  EXPECT_THAT(refusal({"listener", "create", "lb"}),
              StartsWith("--protocol, --protocol-port are missing"));
  EXPECT_THAT(refusal({"member", "list"}), StartsWith("POOL is missing"));
  EXPECT_THAT(refusal({"lb", "create", "--name", "x"}),
              StartsWith("one of --vip-address, --vip-subnet-id"));
  EXPECT_THAT(refusal({"lb", "set", "x", "--wait"}), StartsWith("nothing to set: give one of"));
  EXPECT_THAT(refusal({"lb", "show", ""}), StartsWith("LOADBALANCER is empty"));
}

TEST(Grammar, RefusesWhatIsTooMuch) {
  EXPECT_THAT(refusal({"member", "list", "a", "b"}), StartsWith("too many arguments: 'b'"));
  EXPECT_THAT(refusal({"lb", "set", "x", "--enable", "--disable"}),
              StartsWith("--enable and --disable exclude each other"));
  EXPECT_THAT(refusal({"pool", "create", "--listener", "a", "--loadbalancer", "b", "--protocol",
                       "TCP", "--lb-algorithm", "ROUND_ROBIN"}),
              StartsWith("--listener and --loadbalancer exclude each other"));
}

TEST(Grammar, NumbersAreNumbers) {
  for (const auto* wrong : {"eighty", "80x", "", "8.0", "99999999999999999999"})
    EXPECT_THAT(refusal({"listener", "set", "--connection-limit", wrong, "l"}),
                StartsWith("--connection-limit wants a number, not '" + std::string(wrong) + "'"));
  for (const auto* wrong : {"eighty", "80x", "", "80-", "80-90-100"})
    EXPECT_THAT(
        refusal({"listener", "create", "--protocol", "TCP", "--protocol-port", wrong, "lb"}),
        StartsWith("--protocol-port wants a port or FIRST-LAST, not '" + std::string(wrong) + "'"));
  EXPECT_THAT(refusal({"healthmonitor", "set", "--http-version", "one", "h"}),
              StartsWith("--http-version wants a number"));
}

TEST(Grammar, ChecksFormatAndColumnsBeforeAnythingIsSent) {
  EXPECT_THAT(refusal({"lb", "list", "-f", "xml"}), StartsWith("unknown format 'xml'"));
  EXPECT_EQ(refusal({"healthmonitor", "list", "-c", "nme"}),
            "no column is named 'nme': there are id, name, project_id, type, admin_state_up (see "
            "'sluicectl loadbalancer healthmonitor list --help')");
  EXPECT_EQ(parsed({"lb", "list", "-c", "name", "-c", "id"}).values("column").size(), 2u);
  EXPECT_THAT(refusal({"lb", "delete", "x", "-f", "json"}), StartsWith("unknown option '-f'"));
}

TEST(Help, IsThereAtEveryLevelWithExamples) {
  EXPECT_EQ(parsed({"--help"}).request, Invocation::Request::help);
  EXPECT_EQ(parsed({"lb", "-h"}).verb, nullptr);
  const auto invocation = parsed({"listener", "create", "--help"});  // needs nothing else
  EXPECT_EQ(invocation.request, Invocation::Request::help);
  EXPECT_THAT(help(invocation.noun, invocation.verb),
              StartsWith("Usage: sluicectl loadbalancer listener create [OPTION...] LOADBALANCER"));
  EXPECT_THAT(help(nullptr, nullptr), HasSubstr("Examples:\n  sluicectl loadbalancer create"));
}

TEST(Help, ExamplesAreCommandsThatTheParserTakes) {
  int seen = 0;
  for (const auto* noun : nouns()) {
    for (const auto& verb : noun->verbs) {
      for (const auto& example : verb.examples) {
        std::vector<std::string> words;
        std::istringstream in(example);
        for (std::string word; in >> word;) words.push_back(word);
        words.erase(words.begin());
        const auto result = parse(words);
        EXPECT_TRUE(result.has_value()) << example << ": " << result.error().message;
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 10);
}

}  // namespace
}  // namespace sluice::ctl
