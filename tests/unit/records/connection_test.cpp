// Records of the data plane are decoded, and told as lines of JSON.
#include "records/connection.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <boost/json/parse.hpp>

#include "example.hpp"
#include "records/json_line.hpp"
#include "records/names.hpp"

namespace sluice::records {
namespace {

TEST(Connection, ARecordThatIsCutOffOrUnknownIsNone) {
  const auto record = record6(SLUICE_RECORD_BEGINS);
  EXPECT_TRUE(decode(bytes_of(record)));
  EXPECT_FALSE(decode(bytes_of(record).first(95)));
  EXPECT_FALSE(decode(bytes_of(record).first(31)));
  EXPECT_FALSE(decode({}));
  auto other = record4(SLUICE_RECORD_BEGINS);
  other.head.event = 9;
  EXPECT_FALSE(decode(bytes_of(other)));
  other = record4(SLUICE_RECORD_BEGINS);
  other.head.family = 5;
  EXPECT_FALSE(decode(bytes_of(other)));
  other = record4(SLUICE_RECORD_ENDS);
  other.head.end = SLUICE_RECORD_END_COUNT;
  EXPECT_FALSE(decode(bytes_of(other)));
}

TEST(Connection, TheHashIsOfTheClientsTuple) {
  const auto begin = decode(bytes_of(record4(SLUICE_RECORD_BEGINS)));
  const auto end = decode(bytes_of(record4(SLUICE_RECORD_ENDS, SLUICE_RECORD_IDLE)));
  EXPECT_EQ(tuple_hash(*begin), tuple_hash(*end));
  auto other = *begin;
  other.client.port = 40001;
  EXPECT_NE(tuple_hash(*begin), tuple_hash(other));
}

TEST(JsonLine, ABeginningHasTheHandshakeAndNoEnd) {
  auto record = record4(SLUICE_RECORD_BEGINS);
  record.head.handshake_microseconds = 500;
  std::string line;
  append_json_line(line, *decode(bytes_of(record)), R"("listener":"web")",
                   1'796'004'430'123'456'789 - 1'000'000'000);
  EXPECT_EQ(line, R"({"time":"2026-11-30T02:07:10.123456Z","event":"begin","listener":"web",)"
                  R"("protocol":"TCP","client":"203.0.0.5","client_port":40000,"vip":"10.0.0.16",)"
                  R"("vip_port":80,"source":"10.0.0.16","source_port":40000,)"
                  R"("member_address":"10.9.0.7","member_port":8080,"handshake_us":500})"
                  "\n");
}

TEST(JsonLine, AnEndHasItsCauseAndTheDurationIfThatIsKnown) {
  auto connection = decode(bytes_of(record6(SLUICE_RECORD_ENDS, SLUICE_RECORD_MEMBER_RESET)));
  std::string line;
  append_json_line(line, *connection, "", 0);
  auto parsed = boost::json::parse(line).as_object();
  EXPECT_EQ(parsed["event"], "end");
  EXPECT_EQ(parsed["end"], "member_reset");
  EXPECT_EQ(parsed["client"], "2001:db8:c::5");
  EXPECT_FALSE(parsed.contains("duration_us"));
  EXPECT_FALSE(parsed.contains("handshake_us"));
  connection->began_nanoseconds = 250'000'000;
  line.clear();
  append_json_line(line, *connection, "", 0);
  EXPECT_EQ(boost::json::parse(line).at("duration_us"), 750'000);
}

TEST(JsonLine, AConnectionBetweenTheIpVersionsHasTheAddressesOfBoth) {
  auto record = record6(SLUICE_RECORD_BEGINS);
  record.snat = address("::ffff:10.0.0.18");
  record.member = address("::ffff:10.9.0.7");
  std::string line;
  append_json_line(line, *decode(bytes_of(record)), "", 0);
  EXPECT_NE(line.find(R"("client":"2001:db8:c::5")"), std::string::npos) << line;
  EXPECT_NE(line.find(R"("source":"10.0.0.18","source_port":40000,"member_address":"10.9.0.7")"),
            std::string::npos)
      << line;
}

TEST(Names, AreEscapedAndLeftOutWhereTheModelHasNone) {
  model::Model model;
  model::LoadBalancer load_balancer;
  load_balancer.id = new_uuid();
  load_balancer.name = "the \"first\"\n</script>";
  model.load_balancers.put(load_balancer);
  model::Listener listener;
  listener.id = new_uuid();
  listener.load_balancer_id = load_balancer.id;
  listener.name = "web";
  model.listeners.put(listener);
  const auto stranger = new_uuid();
  const auto text = "{" + names_as_json(model, listener.id, stranger) + "}";
  const auto parsed = boost::json::parse(text).as_object();
  EXPECT_EQ(parsed.at("load_balancer"), "the \"first\"\n</script>");
  EXPECT_EQ(parsed.at("listener"), "web");
  EXPECT_EQ(parsed.at("member_id").as_string(), to_string(stranger));
  EXPECT_FALSE(parsed.contains("member"));
  EXPECT_FALSE(parsed.contains("pool_id"));
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(names_as_json(model, {}, {}), "");
}

TEST(Words, EachEndHasOne) {
  for (int end = 1; end < SLUICE_RECORD_END_COUNT; ++end)
    EXPECT_FALSE(word(static_cast<sluice_record_end>(end)).empty()) << end;
  EXPECT_EQ(protocol_word(IPPROTO_SCTP), "SCTP");
}

}  // namespace
}  // namespace sluice::records
