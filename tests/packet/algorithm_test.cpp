// Which member gets a new connection, with algorithms other than round robin.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Algorithm : public BothFamilies {
 protected:
  std::uint32_t first() const { return member_index(1); }
  std::uint32_t second() const { return member_index(2); }
  // Opens a connection and says which member got it.
  int opened(const Packet& syn) {
    const auto before = member_counters(first()).flows_opened;
    EXPECT_EQ(receive(syn).reason, "flow_created");
    return member_counters(first()).flows_opened > before ? 1 : 2;
  }
  int opened(std::uint16_t port) { return opened(from_client(L4::tcp, SYN, port)); }
};
FOR_BOTH_FAMILIES(Algorithm);

TEST_P(Algorithm, LeastConnectionsFollowsTheWeights) {
  put_pool(pool(), SLUICE_FULLNAT,
           {SLUICE_RING_WEIGHTED(first(), 3), SLUICE_RING_WEIGHTED(second(), 1)},
           SLUICE_LEAST_CONNECTIONS);
  for (std::uint16_t port = 41000; port < 41012; ++port) opened(port);
  EXPECT_EQ(member_counters(first()).flows_opened, 9U);
  EXPECT_EQ(member_counters(second()).flows_opened, 3U);
}

TEST_P(Algorithm, LeastConnectionsFillsUpWhereConnectionsHaveEnded) {
  put_pool(pool(), SLUICE_FULLNAT,
           {SLUICE_RING_WEIGHTED(first(), 1), SLUICE_RING_WEIGHTED(second(), 1)},
           SLUICE_LEAST_CONNECTIONS);
  std::vector<std::uint16_t> of_first;
  for (std::uint16_t port = 41000; port < 41006; ++port) {
    if (opened(port) == 1) of_first.push_back(port);
  }
  ASSERT_EQ(of_first.size(), 3U);
  for (const auto port : of_first) receive(from_client(L4::tcp, RST, port));
  for (std::uint16_t port = 42000; port < 42003; ++port) EXPECT_EQ(opened(port), 1) << port;
}

TEST_P(Algorithm, SourceIpSendsAClientToOneMemberWhateverItsPort) {
  put_pool(pool(), SLUICE_FULLNAT, {first(), second(), first(), second(), first()},
           SLUICE_SOURCE_IP);
  const auto member = opened(41000);
  for (std::uint16_t port = 41001; port < 41010; ++port) EXPECT_EQ(opened(port), member);
}

TEST_P(Algorithm, SourceIpPortSpreadsAClientsConnections) {
  put_pool(pool(), SLUICE_FULLNAT, {first(), second(), first(), second(), first()},
           SLUICE_SOURCE_IP_PORT);
  for (std::uint16_t port = 41000; port < 41040; ++port) opened(port);
  EXPECT_GT(member_counters(first()).flows_opened, 10U);
  EXPECT_GT(member_counters(second()).flows_opened, 6U);
}

TEST_P(Algorithm, PersistenceSendsAClientWhereItsLastConnectionWent) {
  put_pool(pool(), SLUICE_FULLNAT, {first(), second()}, SLUICE_ROUND_ROBIN, 60);
  const auto member = opened(41000);
  auto other = from_client(L4::tcp, SYN, 41001);
  other.source = net().other_client;
  EXPECT_NE(opened(other), member);
  for (std::uint16_t port = 41002; port < 41006; ++port) EXPECT_EQ(opened(port), member);
}

TEST_P(Algorithm, PersistenceEndsWithItsMember) {
  put_pool(pool(), SLUICE_FULLNAT, {first(), second()}, SLUICE_ROUND_ROBIN, 60);
  ASSERT_EQ(opened(41000), 1);
  put_member(first(), net().member1, 8080, false);
  put_pool(pool(), SLUICE_FULLNAT, {second()}, SLUICE_ROUND_ROBIN, 60);
  EXPECT_EQ(opened(41001), 2);
  put_member(first(), net().member1, 8080);
  put_pool(pool(), SLUICE_FULLNAT, {first(), second()}, SLUICE_ROUND_ROBIN, 60);
  EXPECT_EQ(opened(41002), 2) << "the client has a new home";
}

}  // namespace
}  // namespace sluice::test
