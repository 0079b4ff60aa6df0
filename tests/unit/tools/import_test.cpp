// Imports: each sample of another load balancer's configuration becomes the manifest beside it,
// which apply reads, and no statement of it is lost silently.
#include <gmock/gmock.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "sluicectl/import/directive.hpp"
#include "sluicectl/import/import.hpp"
#include "sluicectl/manifest/file.hpp"

namespace sluice::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string samples = SLUICE_IMPORT_SAMPLES;

std::string contents(const std::string& name) {
  std::ifstream stream(samples + "/" + name);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

struct Sample {
  const char* file;
  const char* manifest;
  Result<std::string> (*import)(const ImportSource&);
  std::vector<std::string> idle = {};  // lines that say what is so without them
};
const Sample all_samples[] = {
    {"ipvs.save", "ipvs.yaml", import_ipvs, {}},
    {"keepalived.conf",
     "keepalived.yaml",
     import_keepalived,
     {"lb_algo wlc", "protocol TCP", "SSL_GET { url { path / } connect_timeout 2 }",
      "SSL_GET { url { path / } connect_timeout 2 }"}},  // the members' monitors are alike
    {"haproxy.cfg", "haproxy.yaml", import_haproxy, {"global", "mode tcp", "timeout server 5m"}},
    {"nginx.conf", "nginx.yaml", import_nginx, {}}};

// Says whether a comment "#   FIRST-LAST: ..." covers the line.
bool is_in_a_range(const std::string& manifest, std::size_t line) {
  std::istringstream stream(manifest);
  for (std::string text; std::getline(stream, text);) {
    std::size_t first = 0, last = 0;
    if (std::sscanf(text.c_str(), "#   %zu-%zu:", &first, &last) == 2 && first <= line &&
        line <= last)
      return true;
  }
  return false;
}

class ImportSample : public testing::TestWithParam<Sample> {
 protected:
  // SLUICE_UPDATE_SAMPLES=1 writes what came out instead, to be read before it is committed.
  std::string imported(const std::string& vip = "203.0.113.99") {
    const auto made = GetParam().import({GetParam().file, contents(GetParam().file), vip});
    EXPECT_TRUE(made) << made.error().text();
    if (made && std::getenv("SLUICE_UPDATE_SAMPLES"))
      std::ofstream(samples + "/" + GetParam().manifest) << *made;
    return made.value_or("");
  }
};

TEST_P(ImportSample, BecomesTheManifestBesideIt) {
  EXPECT_EQ(imported(), contents(GetParam().manifest));
}

TEST_P(ImportSample, IsReadByApply) {
  const auto read = read_manifest(GetParam().manifest, imported());
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_FALSE(read->children.empty());
}

// Blanks each line in turn. If that changes nothing, and no comment is about the block around it,
// the line has no effect: it says what is so without it.
TEST_P(ImportSample, NoLineIsLostSilently) {
  const auto whole = imported();
  std::istringstream stream(contents(GetParam().file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::vector<std::string> idle;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto begin = lines[i].find_first_not_of(" \t");
    if (begin == lines[i].npos || lines[i][begin] == '#' || lines[i][begin] == '!') continue;
    std::string text;
    for (std::size_t k = 0; k < lines.size(); ++k) text += (k == i ? "" : lines[k]) + "\n";
    const auto made = GetParam().import({GetParam().file, text, "203.0.113.99"});
    if (made && *made == whole && !is_in_a_range(whole, i + 1))
      idle.push_back(lines[i].substr(begin));
  }
  EXPECT_EQ(idle, GetParam().idle);
}

TEST_P(ImportSample, NeedsAVipForServicesThatListenEverywhere) {
  const auto without = imported("");
  if (std::string(GetParam().file) == "haproxy.cfg" ||
      std::string(GetParam().file) == "nginx.conf") {
    EXPECT_THAT(without, HasSubstr("name it with --vip"));
    EXPECT_THAT(without, Not(HasSubstr("203.0.113.99")));
  } else {
    EXPECT_EQ(without, imported());
  }
}

INSTANTIATE_TEST_SUITE_P(, ImportSample, testing::ValuesIn(all_samples), [](const auto& info) {
  const std::string file = info.param.file;
  return file.substr(0, file.find('.'));
});

std::string made(Result<std::string> (*import)(const ImportSource&), const std::string& text) {
  const auto manifest = import({"lb.conf", text});
  return manifest ? *manifest : manifest.error().text();
}

TEST(Import, UnknownStatementsAreNamedWithTheirLines) {
  EXPECT_THAT(made(import_ipvs, "-A -t 10.0.0.1:80 -s rr --frob 3\nfrob\n"),
              testing::AllOf(HasSubstr("#   1: -A: --frob 3: unknown here\n"),
                             HasSubstr("#   2: frob: only -A and -a are known\n")));
  EXPECT_THAT(
      made(import_keepalived, "frob {\n  a\n}\nvirtual_server 10.0.0.1 80 {\n  frob 3\n}\n"),
      testing::AllOf(HasSubstr("#   1-3: frob {...}: unknown here\n"),
                     HasSubstr("#   5: frob 3: unknown here\n")));
  EXPECT_THAT(made(import_haproxy, "listen a\n  bind 10.0.0.1:80 frob\n  frob 3\n"),
              testing::AllOf(HasSubstr("#   2: bind: frob: unknown here\n"),
                             HasSubstr("#   3: frob 3: unknown here\n")));
  EXPECT_THAT(made(import_nginx, "frob 1;\nstream {\n  frob 2;\n  upstream a { frob 3; }\n}\n"),
              testing::AllOf(HasSubstr("#   1: frob 1: it is about the process\n"),
                             HasSubstr("#   3: frob 2: unknown here\n"),
                             HasSubstr("#   4: upstream a {...}: no server")));
}

TEST(Import, AFileThatIsNotOneIsRefusedWithItsLine) {
  EXPECT_EQ(made(import_keepalived, "virtual_server 10.0.0.1 80 {\n  delay_loop 5\n"),
            "lb.conf:1: '{' without '}'");
  EXPECT_EQ(made(import_nginx, "stream {\n}\n}\n"), "lb.conf:3: '}' without '{'");
  EXPECT_EQ(made(import_nginx, "{ }\n"), "lb.conf:1: '{' of nothing");
  EXPECT_EQ(made(import_nginx, "a;\nb 'c;\nd;\n"), "lb.conf:2: a quote without its end");
  EXPECT_EQ(made(import_haproxy, "global\n  a \"b\n  c\"\n"), "lb.conf:2: a quote without its end");
}

// A manifest that lists no load balancer would remove all that there are.
TEST(Import, OfNothingIsNoManifest) {
  for (const auto& sample : all_samples) {
    const auto nothing = made(sample.import, "");
    EXPECT_THAT(nothing, HasSubstr("there is nothing to apply")) << sample.file;
    EXPECT_THAT(nothing, Not(HasSubstr("loadbalancers"))) << sample.file;
  }
}

TEST(Import, NothingThatIsTypedEndsAComment) {
  EXPECT_THAT(made(import_nginx, "frob 'a\nloadbalancers: [b]\x1b';\n"),
              HasSubstr("#   1: frob a\\x0aloadbalancers: [b]\\x1b: it is about the process\n"));
}

TEST(Import, ServersThatAreToldOfTheirClientsAreAPoolOfProtocolProxyv2) {
  constexpr auto listen = "listen a\n  bind 10.0.0.1:80\n  server a 10.0.0.4:80 send-proxy-v2\n";
  EXPECT_THAT(made(import_haproxy, listen), HasSubstr("protocol: PROXYV2\n"));
  EXPECT_THAT(made(import_haproxy, std::string(listen) + "  server b 10.0.0.5:80\n"),
              testing::AllOf(HasSubstr("#   1: listen: send-proxy-v2: not all of its servers"),
                             Not(HasSubstr("protocol: PROXYV2"))));
  EXPECT_THAT(
      made(import_haproxy, "listen a\n  bind 10.0.0.1:80\n  server a 10.0.0.4:80 send-proxy\n"),
      HasSubstr("#   3: server: send-proxy: a pool sends version 2 alone"));
}

TEST(Import, MembersOfTheOtherIpVersionAreLeftOut) {
  EXPECT_THAT(
      made(import_haproxy, "listen a\n  bind [2001:db8::1]:80\n  server a 10.0.0.4:80\n"),
      testing::AllOf(HasSubstr("#   2: bind: member 10.0.0.4: its IP version is not that of "
                               "2001:db8::1: give that snat_addresses of IPv4 first\n"),
                     Not(HasSubstr("members:"))));
}

TEST(Import, ALongStatementIsCutInItsComment) {
  EXPECT_THAT(made(import_haproxy, "global\n  " + std::string(1000, 'x') + "\n"),
              HasSubstr("#   2: " + std::string(100, 'x') + "...: it is about the process\n"));
}

TEST(Import, PoolsOfOneNameThatDifferGetNamesOfTheirOwn) {
  // nginx: one upstream for TCP and UDP listeners of one address.
  const auto manifest = made(import_nginx,
                             "stream {\n upstream a { server 10.0.0.4:53; }\n"
                             " server { listen 10.0.0.16:53; proxy_pass a; }\n"
                             " server { listen 10.0.0.16:54; proxy_pass a; }\n"
                             " server { listen 10.0.0.16:53 udp; proxy_pass a; }\n}\n");
  EXPECT_THAT(manifest, HasSubstr("name: a-2\n        protocol: UDP"));
  EXPECT_THAT(manifest, HasSubstr("default_pool: a-2"));
  EXPECT_THAT(manifest, Not(HasSubstr("a-3")));
}

TEST(Directives, TimesHaveUnits) {
  const std::pair<const char*, std::optional<std::int64_t>> rows[] = {
      {"30s", 30'000},     {"1h30m", 5'400'000}, {"250ms", 250},
      {"5000", 5000},      {"1d", 86'400'000},   {"", std::nullopt},
      {"s", std::nullopt}, {"5x", std::nullopt}, {"-1", std::nullopt}};
  for (const auto& [text, wanted] : rows) EXPECT_EQ(milliseconds(text, 1), wanted) << text;
  EXPECT_EQ(milliseconds("10", 1000), 10'000);
}

TEST(Directives, PlacesAreAddressesWithPorts) {
  const auto place = [](const char* text) {
    const auto read = parse_place(text);
    return read ? read->address + " " + std::to_string(read->port) : "none";
  };
  EXPECT_EQ(place("10.0.0.1:80"), "10.0.0.1 80");
  EXPECT_EQ(place("[2001:db8::1]:80"), "2001:db8::1 80");
  EXPECT_EQ(place("2001:db8::1"), "2001:db8::1 0");
  EXPECT_EQ(place("*:80"), " 80");
  EXPECT_EQ(place(":80"), " 80");
  EXPECT_EQ(place("0.0.0.0:80"), " 80");
  EXPECT_EQ(place("[::]:80"), " 80");
  for (const auto* text : {"www:80", "10.0.0.1:0", "10.0.0.1:http", "10.0.0.1:80-90", "unix:/a"})
    EXPECT_EQ(place(text), "none") << text;
}

}  // namespace
}  // namespace sluice::ctl
