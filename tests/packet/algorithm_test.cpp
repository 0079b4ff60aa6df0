// Which member gets a new connection, with algorithms other than round robin.
#include <bpf/bpf.h>

#include <algorithm>
#include <map>
#include <vector>

#include "maps/hash_key.h"
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

// Without the key nobody can tell which clients share a member, so nobody can aim at one.
TEST_P(Algorithm, TheSecretKeyDecidesWhichClientsShareAMember) {
  for (const auto algorithm : {SLUICE_SOURCE_IP, SLUICE_SOURCE_IP_PORT}) {
    put_pool(pool(), SLUICE_FULLNAT, {first(), second()}, algorithm);
    std::map<std::uint64_t, std::vector<int>> chosen;
    for (const std::uint64_t key : {1, 2, 1}) {
      forget_flows();
      const std::uint32_t zero = 0;
      const sluice_hash_key value{{key, 0x0123456789abcdefULL}};
      ASSERT_EQ(bpf_map_update_elem(map("hash_key"), &zero, &value, BPF_EXIST), 0);
      std::vector<int> members;
      for (std::uint16_t i = 0; i < 40; ++i) {
        auto syn = from_client(L4::tcp, SYN, static_cast<std::uint16_t>(41000 + i));
        syn.source = (family() == 4 ? "198.51.100." : "2001:db8:c::") + std::to_string(1 + i);
        members.push_back(receive(syn).frame == at_member(syn, 1).bytes() ? 1 : 2);
      }
      const auto [before, is_new] = chosen.emplace(key, members);
      EXPECT_TRUE(is_new || before->second == members) << "the same key, the same members";
      EXPECT_GT(std::count(members.begin(), members.end(), 1), 5);
      EXPECT_GT(std::count(members.begin(), members.end(), 2), 5);
    }
    EXPECT_NE(chosen[1], chosen[2]);
  }
}

// A member with max_connections. The ring goes first, and first, and second.
class FullMember : public Algorithm {
 protected:
  void limit(std::uint32_t first_most, std::uint32_t second_most) {
    put_member(first(), net().member1, 8080, true, 0, first_most);
    put_member(second(), net().member2, 8080, true, 0, second_most);
  }
  void use(sluice_algorithm algorithm, std::uint32_t persistence_seconds = 0) {
    put_pool(pool(), SLUICE_FULLNAT, {first(), first(), second()}, algorithm, persistence_seconds);
  }
  // Opens a connection, which its client confirms, and says which member got it.
  int established(std::uint16_t port) {
    const int member = opened(port);
    receive(from_member(member, L4::tcp, SYN | ACK, port));
    EXPECT_EQ(receive(from_client(L4::tcp, ACK, port)).reason, "forwarded");
    return member;
  }
  std::string refused(std::uint16_t port) {
    return receive(from_client(L4::tcp, SYN, port)).reason;
  }
};
FOR_BOTH_FAMILIES(FullMember);

TEST_P(FullMember, ItsConnectionsGoToTheNextOneAlongTheRing) {
  use(SLUICE_ROUND_ROBIN);
  limit(1, 0);
  EXPECT_EQ(established(41000), 1);
  for (std::uint16_t port = 41001; port < 41010; ++port) EXPECT_EQ(established(port), 2) << port;
  receive(from_client(L4::tcp, RST, 41000));
  EXPECT_EQ(established(41010), 1) << "there is room again";
  EXPECT_EQ(established(41011), 2);
}

TEST_P(FullMember, EveryAlgorithmPassesItOver) {
  for (const auto algorithm :
       {SLUICE_ROUND_ROBIN, SLUICE_LEAST_CONNECTIONS, SLUICE_SOURCE_IP, SLUICE_SOURCE_IP_PORT}) {
    forget_flows();
    use(algorithm);
    limit(2, 2);
    std::map<int, int> got;
    for (std::uint16_t port = 41000; port < 41004; ++port) ++got[established(port)];
    EXPECT_EQ(got[1], 2) << algorithm;
    EXPECT_EQ(got[2], 2) << algorithm;
    EXPECT_EQ(refused(41004), "member_full") << algorithm;
  }
}

TEST_P(FullMember, AClientThatStayedWithItMovesForGood) {
  limit(1, 0);
  use(SLUICE_ROUND_ROBIN, 60);
  EXPECT_EQ(established(41000), 1);
  EXPECT_EQ(established(41001), 2);
  receive(from_client(L4::tcp, RST, 41000));
  EXPECT_EQ(established(41002), 2);
}

TEST_P(FullMember, SynsThatNobodyConfirmsFillNobody) {
  use(SLUICE_ROUND_ROBIN);
  limit(1, 1);
  for (std::uint16_t port = 42000; port < 42030; ++port) opened(port);
  EXPECT_EQ(established(41000), 1);
}

// Another CPU, which opens a connection, has counted it as half-open and not yet as one that is
// there: of two counters the difference would leave room for one more.
TEST_P(FullMember, IsFullWhileAnotherCpuCountsANewConnection) {
  use(SLUICE_ROUND_ROBIN);
  limit(1, 0);
  EXPECT_EQ(established(41000), 1);
  const std::uint32_t index = first(), one = 1;
  ASSERT_EQ(bpf_map_update_elem(map("member_half_open"), &index, &one, BPF_EXIST), 0);
  for (std::uint16_t port = 41001; port < 41004; ++port) EXPECT_EQ(established(port), 2) << port;
}

TEST_P(FullMember, ARefusedClientIsToldIfTheListenerSaysSo) {
  use(SLUICE_ROUND_ROBIN);
  limit(1, 1);
  auto value = listener(pool());
  value.flags = SLUICE_LISTENER_RESETS;
  put_listener(net().vip, 80, L4::tcp, value);
  established(41000);
  established(41001);
  EXPECT_EQ(refused(41002), "rejected");
  EXPECT_EQ(receive(from_client(L4::tcp, ACK, 41000)).reason, "forwarded");
}

}  // namespace
}  // namespace sluice::test
