#include "sluicectl/output/format.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "sluicectl/grammar/command.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/output/table.hpp"

namespace sluice::ctl {
namespace {

Listing two_listeners() {
  return {{"id", "default_pool_id", "name", "project_id", "protocol", "protocol_port",
           "admin_state_up"},
          {{"380ea1df-e043-4167-90ca-03f044b620a3", std::monostate{}, "80_listener",
            "eac679e4896146e6827ce29d755fe289", "TCP", std::int64_t{80}, true},
           {"724816cc-2dbd-42c8-9b61-19f49fa48165", std::monostate{}, "443_listener",
            "eac679e4896146e6827ce29d755fe289", "TCP", std::int64_t{443}, true}}};
}

TEST(Table, LooksAsTheWalkthroughsListOfListeners) {
  EXPECT_EQ(
      format(two_listeners(), Format::table),
      R"(+--------------------------------------+-----------------+--------------+----------------------------------+----------+---------------+----------------+
| id                                   | default_pool_id | name         | project_id                       | protocol | protocol_port | admin_state_up |
+--------------------------------------+-----------------+--------------+----------------------------------+----------+---------------+----------------+
| 380ea1df-e043-4167-90ca-03f044b620a3 | None            | 80_listener  | eac679e4896146e6827ce29d755fe289 | TCP      |            80 | True           |
| 724816cc-2dbd-42c8-9b61-19f49fa48165 | None            | 443_listener | eac679e4896146e6827ce29d755fe289 | TCP      |           443 | True           |
+--------------------------------------+-----------------+--------------+----------------------------------+----------+---------------+----------------+
)");
}

TEST(Table, OfARecordIsLeftAlignedAndPutsEachIdOnItsOwnLine) {
  const Record record{{"name", "pools", "weight"}, {"lb_test_1", "aaaa\nbb", std::int64_t{7}}};
  EXPECT_EQ(format(record, Format::table),
            "+--------+-----------+\n"
            "| Field  | Value     |\n"
            "+--------+-----------+\n"
            "| name   | lb_test_1 |\n"
            "| pools  | aaaa      |\n"
            "|        | bb        |\n"
            "| weight | 7         |\n"
            "+--------+-----------+\n");
}

TEST(Table, NumbersWiderThanTheirHeaderTakeTheHeaderToTheRightToo) {
  EXPECT_EQ(format(Listing{{"n", "x"}, {{std::int64_t{123456}, "a"}}}, Format::table),
            "+--------+---+\n"
            "|      n | x |\n"
            "+--------+---+\n"
            "| 123456 | a |\n"
            "+--------+---+\n");
}

TEST(Table, WithoutRowsIsOneEmptyLine) {
  EXPECT_EQ(format(Listing{{"id", "name"}, {}}, Format::table), "\n");
}

TEST(Table, CountsTheColumnsOfATerminalNotBytes) {
  EXPECT_EQ(display_width("ascii"), 5u);
  EXPECT_EQ(display_width("ünï"), 3u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);  // e and a combining accent
  EXPECT_EQ(display_width("\xff\xfe"), 2u);   // no UTF-8 at all
}

TEST(Table, KeepsControlCharactersFromTheTerminal) {
  const auto text = format(Record{{"name"}, {"a\x1b[31mb\r"}}, Format::table);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(Values, OfARecordComeOnePerLineAndOfAListingOneRowPerLine) {
  EXPECT_EQ(format(Record{{"a", "b"}, {"10.0.0.16", std::monostate{}}}, Format::value),
            "10.0.0.16\nNone\n");
  EXPECT_EQ(format(Listing{{"a", "b"}, {{"x", std::int64_t{80}}, {"y", false}}}, Format::value),
            "x 80\ny False\n");
  EXPECT_EQ(format(Listing{{"a"}, {}}, Format::value), "");
}

TEST(Json, KeepsTypesAndOrder) {
  const Record record{{"b", "a", "none", "up", "raw", "version"},
                      {"say \"hi\"", std::int64_t{80}, std::monostate{}, true, RawJson{"[]"}, 1.1}};
  EXPECT_EQ(format(record, Format::json),
            "{\n"
            "  \"b\": \"say \\\"hi\\\"\",\n"
            "  \"a\": 80,\n"
            "  \"none\": null,\n"
            "  \"up\": true,\n"
            "  \"raw\": [],\n"
            "  \"version\": 1.1\n"
            "}\n");
  EXPECT_EQ(format(Listing{{"a"}, {{"x"}, {"y"}}}, Format::json),
            "[\n  {\n    \"a\": \"x\"\n  },\n  {\n    \"a\": \"y\"\n  }\n]\n");
  EXPECT_EQ(format(Listing{{"a"}, {}}, Format::json), "[]\n");
}

TEST(Yaml, QuotesStringsThatWouldBeReadAsSomethingElse) {
  const Record record{
      {"address", "created_at", "empty", "port", "digits", "word", "sign", "none", "up", "raw"},
      {"10.0.0.4", "2018-06-25T01:37:46", "", std::int64_t{80}, "80", "on", "=", std::monostate{},
       true, RawJson{"[]"}}};
  EXPECT_EQ(format(record, Format::yaml),
            "address: 10.0.0.4\n"
            "created_at: '2018-06-25T01:37:46'\n"
            "empty: ''\n"
            "port: 80\n"
            "digits: '80'\n"
            "word: 'on'\n"
            "sign: '='\n"
            "none: null\n"
            "up: true\n"
            "raw: []\n");
  EXPECT_EQ(format(Listing{{"a", "b"}, {{"x", true}, {"z", false}}}, Format::yaml),
            "- a: x\n  b: true\n- a: z\n  b: false\n");
  EXPECT_EQ(format(Listing{{"a"}, {}}, Format::yaml), "[]\n");
}

TEST(Csv, QuotesAllButNumbersAndBooleans) {
  EXPECT_EQ(format(Listing{{"name", "port", "up", "none"},
                           {{"say \"hi\", you", std::int64_t{80}, true, std::monostate{}}}},
                   Format::csv),
            "\"name\",\"port\",\"up\",\"none\"\n\"say \"\"hi\"\", you\",80,True,\"\"\n");
}

TEST(Selection, NeverReorders) {
  auto listing = two_listeners();
  select(listing, {"protocol_port", "name"});
  EXPECT_EQ(format(listing, Format::value), "80_listener 80\n443_listener 443\n");

  Record record{{"a", "b", "c"}, {"1", "2", "3"}};
  select(record, {"c", "a"});
  EXPECT_EQ(format(record, Format::value), "1\n3\n");
  select(record, {});
  EXPECT_EQ(format(record, Format::value), "1\n3\n");
}

TEST(Sorting, GoesByTheFirstColumnThenTheNextAndNumbersByValue) {
  Listing listing{{"name", "port"},
                  {{"b", std::int64_t{443}}, {"a", std::int64_t{80}}, {"b", std::int64_t{80}}}};
  sort(listing, {"name", "port"}, false);
  EXPECT_EQ(format(listing, Format::value), "a 80\nb 80\nb 443\n");
  sort(listing, {"port"}, true);
  EXPECT_EQ(format(listing, Format::value), "b 443\na 80\nb 80\n");
}

TEST(Sorting, PutsNothingFirst) {
  Listing listing{{"pool"}, {{"x"}, {std::monostate{}}, {"a"}}};
  sort(listing, {"pool"}, false);
  EXPECT_EQ(format(listing, Format::value), "None\na\nx\n");
}

TEST(Cells, ColumnsMayBeCalledOtherwiseThanTheirAttributes) {
  const auto objects = boost::json::parse(R"([{"id":"s","cidr":"10.0.0.0/24"}])");
  Resource resource;
  resource.attributes = {{"Subnet", "cidr"}};
  const auto listing = to_listing(objects.get_array(), resource, {"id", "Subnet"});
  EXPECT_EQ(format(listing, Format::value), "s 10.0.0.0/24\n");
}

TEST(Cells, ListARangeOfPortsAsItIsTyped) {
  const auto objects = boost::json::parse(R"([
      {"name": "a", "protocol_port": 8000, "protocol_port_range": 8010},
      {"name": "b", "protocol_port": 80, "protocol_port_range": null}])");
  const auto listing = to_listing(objects.get_array(), {}, {"name", "protocol_port"});
  EXPECT_EQ(format(listing, Format::value), "a 8000-8010\nb 80\n");
}

TEST(Cells, ShowWhatTheApiSaysAsTheOpenStackClientDoes) {
  const auto object = boost::json::parse(R"({
      "null": null, "up": false, "limit": -1, "listeners": [{"id": "a"}, {"id": "b"}], "tags": [],
      "insert_headers": {}, "session_persistence": {"type": "SOURCE_IP", "cookie_name": null},
      "sni_container_refs": [], "version": 1.0})")
                          .as_object();
  const auto text = [&](const char* field) { return cell_text(to_cell(object, field)); };
  EXPECT_EQ(text("null"), "None");
  EXPECT_EQ(text("missing"), "");
  EXPECT_EQ(text("up"), "False");
  EXPECT_EQ(text("limit"), "-1");
  EXPECT_EQ(text("listeners"), "a\nb");
  EXPECT_EQ(text("tags"), "");
  EXPECT_EQ(text("insert_headers"), "None");
  EXPECT_EQ(text("session_persistence"), "type=SOURCE_IP\ncookie_name=None");
  EXPECT_EQ(text("sni_container_refs"), "[]");
  EXPECT_EQ(text("version"), "1.0");
}

TEST(Cells, OptionalRowsAppearOnlyWithAValue) {
  Resource resource;
  resource.rows = {"name"};
  resource.optional_rows = {"forwarding_mode", "provisioning_error"};
  const auto object =
      boost::json::parse(R"({"name": "p", "forwarding_mode": "dnat", "provisioning_error": null})")
          .as_object();
  EXPECT_EQ(to_record(object, resource).fields,
            (std::vector<std::string>{"name", "forwarding_mode"}));
}

}  // namespace
}  // namespace sluice::ctl
