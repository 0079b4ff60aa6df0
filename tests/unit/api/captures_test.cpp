// Captures over the API.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class CapturesTest : public ApiTest {
 protected:
  CapturesTest() {
    control::CapturedFrame frame;
    frame.time =
        std::chrono::system_clock::time_point(std::chrono::nanoseconds(1700000000123456789));
    frame.interface = "eth0";
    frame.reason = "no_listener";
    frame.verdict = "drop";
    frame.length = 1514;
    frame.bytes = {0x02, 0xff, 0x00};
    data_plane_.captured.frames = {frame, frame};
    data_plane_.captured.frames[1].departure = true;
    data_plane_.captured.lost = 7;
  }

  Answer start(const std::string& attributes = "") {
    return post("/v1/captures", "{\"capture\": {" + attributes + "}}");
  }
};

TEST_F(CapturesTest, start_with_everything_unless_told_otherwise) {
  EXPECT_EQ(start().status, 201U);
  const auto& filter = *data_plane_.capture_filter;
  EXPECT_FALSE(filter.network);
  EXPECT_EQ(filter.port, 0);
  EXPECT_TRUE(filter.reasons.empty());
  EXPECT_EQ(filter.every, 1U);
  EXPECT_EQ(filter.bytes, 256);
}

TEST_F(CapturesTest, start_with_a_filter) {
  EXPECT_EQ(start(R"("address": "192.0.2.9/24", "port": 80, "reasons": ["drop", "no_flow"],)"
                  R"("every": 100, "bytes": 2048)")
                .status,
            201U);
  const auto& filter = *data_plane_.capture_filter;
  EXPECT_EQ(filter.network->to_string(), "192.0.2.0/24");
  EXPECT_EQ(filter.port, 80);
  EXPECT_EQ(filter.reasons, (std::vector<std::string>{"drop", "no_flow"}));
  EXPECT_EQ(filter.every, 100U);
  EXPECT_EQ(filter.bytes, 2048);
}

TEST_F(CapturesTest, give_frames_with_their_time_and_reason) {
  const auto id = text(start()["capture"].at("id"));
  const auto answer = get("/v1/captures/" + id + "/packets?limit=2");
  EXPECT_EQ(answer.status, 200U);
  EXPECT_EQ(answer.json.at("lost").as_int64(), 7);
  EXPECT_FALSE(answer.json.at("more").as_bool());
  const auto& packets = answer.json.at("packets").as_array();
  ASSERT_EQ(packets.size(), 2U);
  EXPECT_EQ(boost::json::serialize(packets[0]),
            R"({"nanoseconds":1700000000123456789,"interface":"eth0","direction":"in",)"
            R"("reason":"no_listener","verdict":"drop","length":1514,"frame":"02ff00"})");
  EXPECT_EQ(text(packets[1].at("direction")), "out");
}

TEST_F(CapturesTest, end_when_stopped) {
  const auto id = text(start()["capture"].at("id"));
  EXPECT_EQ(del("/v1/captures/" + id).status, 204U);
  EXPECT_EQ(del("/v1/captures/" + id).status, 404U);
  EXPECT_EQ(get("/v1/captures/" + id + "/packets").status, 404U);
}

TEST_F(CapturesTest, one_at_a_time) {
  EXPECT_EQ(start().status, 201U);
  EXPECT_EQ(start().status, 409U);
}

TEST_F(CapturesTest, what_makes_no_sense_is_named_and_nothing_starts) {
  for (const auto& [attributes, word] : std::vector<std::pair<std::string, std::string>>{
           {R"("address": "1.2.3.4/40")", "1.2.3.4/40"},
           {R"("address": "web")", "web"},
           {R"("port": 65536)", "port"},
           {R"("every": 0)", "every"},
           {R"("bytes": 63)", "bytes"},
           {R"("bytes": 2049)", "bytes"},
           {R"("reasons": "drop")", "reasons"},
           {R"("colour": "red")", "colour"}}) {
    const auto answer = start(attributes);
    EXPECT_EQ(answer.status, 400U) << attributes;
    EXPECT_NE(answer.response.body.find(word), std::string::npos) << answer.response.body;
  }
  EXPECT_FALSE(data_plane_.capture_filter);
  const auto id = text(start()["capture"].at("id"));
  for (const auto* query : {"?limit=0", "?limit=1001", "?limit=x", "?colour=red"})
    EXPECT_EQ(get("/v1/captures/" + id + "/packets" + query).status, 400U) << query;
  EXPECT_EQ(get("/v1/captures/nonsense/packets").status, 404U);
}

}  // namespace
}  // namespace sluice::api
