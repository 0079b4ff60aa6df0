#include "model/limits.hpp"

#include <gtest/gtest.h>

#include "model/names.hpp"

namespace sluice::model {
namespace {

TEST(Limits, TheSentenceNamesAttributeValueAndWhatWouldBeRight) {
  EXPECT_EQ(check_range("weight", 257, weight_range).error().message,
            "Invalid input for field/attribute weight. Value: '257'. "
            "Value should be lower or equal to 256");
  EXPECT_EQ(check_range("protocol_port", 0, port_range).error().message,
            "Invalid input for field/attribute protocol_port. Value: '0'. "
            "Value should be greater or equal to 1");
}

TEST(Limits, BothEndsOfARangeAreAllowed) {
  EXPECT_TRUE(check_range("weight", 0, weight_range));
  EXPECT_TRUE(check_range("weight", 256, weight_range));
  EXPECT_FALSE(check_range("weight", -1, weight_range));
}

TEST(Limits, LengthCountsCharactersNotBytes) {
  std::string umlauts;
  for (int i = 0; i < 255; i++) umlauts += "ü";
  EXPECT_TRUE(check_length("name", umlauts));
  EXPECT_FALSE(check_length("name", umlauts + "x"));
}

TEST(Names, EveryWordIsReadBackAsItsValueAndOtherCaseIsNot) {
  EXPECT_EQ(parse_monitor_type(name(MonitorType::http)), MonitorType::http);
  EXPECT_EQ(parse_monitor_type("http"), std::nullopt);
  EXPECT_EQ(parse_protocol("TCP"), Protocol::tcp);
  EXPECT_EQ(parse_protocol("tcp"), std::nullopt);
  EXPECT_EQ(parse_algorithm("ROUND_ROBIN"), Algorithm::round_robin);
  EXPECT_EQ(parse_forwarding_mode("dnat"), ForwardingMode::dnat);
  EXPECT_EQ(parse_health("down"), Health::down);
  for (auto status :
       {ProvisioningStatus::active, ProvisioningStatus::error, ProvisioningStatus::pending_create,
        ProvisioningStatus::pending_update, ProvisioningStatus::pending_delete}) {
    EXPECT_EQ(parse_provisioning_status(name(status)), status);
  }
}

}  // namespace
}  // namespace sluice::model
