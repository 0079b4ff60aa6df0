// Connections of other nodes: a node that is told of one carries its packets as soon as they come,
// and tells the others of its own (maps/replica.h).
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/flow_list.hpp"
#include "dataplane/replicas.hpp"
#include "maps/replica.h"
#include "packet/identified.hpp"

namespace sluice::test {
namespace {

using dataplane::FlowChange;
using dataplane::FlowEvent;
using dataplane::Replicas;
using Images = std::vector<sluice_flow_image>;
using namespace std::chrono_literals;

// One data plane stands for two nodes: what a connection was told as is put into it again after its
// tables were emptied.
class ReplicaTest : public Identified {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto opened = dataplane::open_replicas(program());
    ASSERT_TRUE(opened) << opened.error().text();
    replicas_ = std::move(*opened);
    ASSERT_TRUE(replicas_->tell_changes(true));
    for (const L4 each : {L4::tcp, L4::udp, L4::sctp}) use(SLUICE_FULLNAT, each);
    changes();
  }
  void TearDown() override {
    if (replicas_) {
      EXPECT_TRUE(replicas_->tell_changes(false));
      EXPECT_TRUE(replicas_->grace(0ms));
    }
    if (!IsSkipped()) forget_flows();
    Traffic::TearDown();
  }
  kernel::LoadOptions load_options() const override { return with_room(1U << 12, 1U << 12); }

  // All connections of the protocol go to member 1.
  void use(sluice_forwarding_mode mode, L4 protocol) {
    name_objects(protocol, mode);
    keeps_client_ = mode != SLUICE_FULLNAT;
    put_pool(pool(protocol), mode, {member_index(1, protocol)});
  }
  std::vector<FlowChange> changes() {
    auto taken = replicas_->take(1U << 20);
    EXPECT_TRUE(taken) << taken.error().text();
    return taken ? std::move(*taken) : std::vector<FlowChange>();
  }
  sluice_flow_image only_change(FlowEvent event) {
    const auto told = changes();
    EXPECT_EQ(told.size(), 1U);
    if (told.size() != 1) return {};
    EXPECT_EQ(told[0].event, event);
    return told[0].image;
  }
  sluice_flow_put_result put(const sluice_flow_image& image) {
    Images images{image};
    const auto done = replicas_->put(images);
    EXPECT_TRUE(done) << done.error().text();
    return static_cast<sluice_flow_put_result>(int{images[0].result});
  }
  void end(const sluice_flow_image& image) {
    const auto done = replicas_->end(Images{image});
    EXPECT_TRUE(done) << done.error().text();
  }
  Images walk() {
    Images all, part;
    std::uint64_t cursor = 0;
    do {
      const auto walked = replicas_->walk(cursor, part);
      EXPECT_TRUE(walked) << walked.error().text();
      if (!walked) break;
      all.insert(all.end(), part.begin(), part.end());
    } while (cursor != 0);
    return all;
  }
  // The connection as another node tells it; here there is nothing of it.
  sluice_flow_image connection_of_another(L4 protocol, std::uint16_t port = 40000) {
    open(protocol, port);
    const auto image = only_change(FlowEvent::begins);
    forget_flows();
    return image;
  }
  // Has a client confirm a connection. Of members that answer directly we see nothing.
  void open(L4 protocol, std::uint16_t port = 40000) {
    if (answers_directly_) {
      receive(from_client(protocol, SYN, port));
      receive(from_client(protocol, ACK, port));
    } else {
      establish(protocol, port, keeps_client_);
    }
  }
  // What records of connections have of the listener's since the last call: events and ends.
  std::vector<std::pair<int, int>> recorded() {
    std::vector<std::pair<int, int>> found;
    const auto keep = [](void* to, void* data, std::size_t) {
      const auto* head = static_cast<const sluice_record*>(data);
      static_cast<std::vector<std::pair<int, int>>*>(to)->emplace_back(head->event, head->end);
      return 0;
    };
    const std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring(
        ring_buffer__new(map("records"), keep, &found, nullptr), ring_buffer__free);
    EXPECT_TRUE(ring);
    if (ring) ring_buffer__consume(ring.get());
    return found;
  }
  std::string state_of_flow() {
    std::string state;
    const auto visit = [&](const dataplane::FoundFlow& found) {
      state = found.flow.state;
      return true;
    };
    EXPECT_TRUE(dataplane::for_each_flow(program(), {}, {}, visit));
    return state;
  }
  std::unique_ptr<Replicas> replicas_;
  bool keeps_client_ = false, answers_directly_ = false;
};

class Replica : public ReplicaTest, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const { return std::get<1>(GetParam()); }

  void client(std::uint8_t flags) { receive(from_client(protocol(), flags)); }
  void member(std::uint8_t flags) {
    receive(from_member(1, protocol(), flags, 40000, keeps_client_));
  }
};
FOR_ALL_PROTOCOLS(Replica);

TEST_P(Replica, CarriesBothEndsPackets) {
  for (const auto mode : {SLUICE_FULLNAT, SLUICE_DNAT}) {
    use(mode, protocol());
    const auto image = connection_of_another(protocol());
    ASSERT_EQ(put(image), SLUICE_PUT_DONE);
    // The first packets of each direction find its next hop, later ones take the fast path.
    for (int i = 0; i < 4; ++i) {
      const auto data = from_client(protocol(), ACK);
      const auto out = receive(data);
      EXPECT_EQ(out.reason, "forwarded");
      EXPECT_TRUE(same_frame(out.frame, at_member(data, 1, keeps_client_).bytes()));
      const auto answer = from_member(1, protocol(), ACK, 40000, keeps_client_);
      const auto back = receive(answer);
      EXPECT_EQ(back.reason, "replied");
      EXPECT_TRUE(same_frame(back.frame, at_client(answer).bytes()));
    }
    EXPECT_EQ(state_of_flow(), "established");
    forget_flows();
    changes();
  }
}

TEST_P(Replica, HasTheSnatAddressOfItsNode) {
  snat_ = family() == 4 ? "10.0.0.30" : "2001:db8::30";
  use(SLUICE_FULLNAT, protocol());
  const auto image = connection_of_another(protocol());
  EXPECT_EQ(image.flags, 0);
  for (int times = 0; times < 2; ++times)  // the second time it is there
    ASSERT_EQ(put(image), times == 0 ? SLUICE_PUT_DONE : SLUICE_PUT_REFRESHED);
  for (int i = 0; i < 2; ++i) {
    const auto data = from_client(protocol(), ACK);
    EXPECT_TRUE(same_frame(receive(data).frame, at_member(data).bytes()));
    const auto answer = from_member(1, protocol(), ACK);
    EXPECT_TRUE(same_frame(receive(answer).frame, at_client(answer).bytes()));
  }
  EXPECT_EQ(state_of_flow(), "established");
  const auto told = only_change(FlowEvent::begins);
  EXPECT_EQ(std::memcmp(&told.source, &image.source, sizeof image.source), 0);
}

// The node that a replica comes to has a source of its own, which the replica doesn't get.
TEST_P(Replica, KeepsTheSourceOfItsNodeBesideAnotherOne) {
  const std::string theirs = family() == 4 ? "10.0.0.30" : "2001:db8::30";
  const std::string ours = family() == 4 ? "10.0.0.31" : "2001:db8::31";
  snat_ = theirs;
  use(SLUICE_FULLNAT, protocol());
  const auto image = connection_of_another(protocol());
  put_vip(theirs, true, SLUICE_VIP_SNAT | SLUICE_VIP_STANDBY);
  snat_ = ours;
  use(SLUICE_FULLNAT, protocol());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  // A new connection gets ours.
  const auto syn = from_client(protocol(), SYN, 41000);
  EXPECT_TRUE(same_frame(receive(syn).frame, at_member(syn).bytes()));

  snat_ = theirs;
  for (int i = 0; i < 3; ++i) {
    const auto data = from_client(protocol(), ACK);
    EXPECT_TRUE(same_frame(receive(data).frame, at_member(data).bytes()));
    const auto answer = from_member(1, protocol(), ACK);
    EXPECT_TRUE(same_frame(receive(answer).frame, at_client(answer).bytes()));
  }
  EXPECT_EQ(receive(from_member(1, protocol(), ACK, 42000)).reason, "no_listener")
      << "nobody knows that connection";
}

TEST_P(Replica, OfAMemberThatAnswersDirectlyCarriesItsClientsPackets) {
  answers_directly_ = true;
  for (const auto mode : {SLUICE_DSR, SLUICE_IPIP}) {
    use(mode, protocol());
    open(protocol());
    const auto before = receive(from_client(protocol(), ACK));
    const auto image = only_change(FlowEvent::begins);
    EXPECT_TRUE(image.flags & SLUICE_IMAGE_DIRECT);
    forget_flows();
    ASSERT_EQ(put(image), SLUICE_PUT_DONE);
    for (int i = 0; i < 3; ++i) {
      const auto out = receive(from_client(protocol(), ACK));
      EXPECT_EQ(out.reason, "forwarded");
      EXPECT_TRUE(same_frame(out.frame, before.frame));
    }
    forget_flows();
    changes();
  }
}

TEST_P(Replica, IsToldOnceItIsConfirmedAndOnceItEnds) {
  client(SYN);
  EXPECT_TRUE(changes().empty()) << "nothing is told before";
  member(SYN | ACK);
  client(ACK);
  member(ACK);
  const auto begun = only_change(FlowEvent::begins);
  EXPECT_EQ(begun.listener_id.bytes[0], static_cast<std::uint8_t>(protocol()));
  EXPECT_EQ(begun.member_id.bytes[0], 1);
  EXPECT_EQ(begun.phase, 3);
  EXPECT_EQ(ntohs(begun.client_port), 40000);
  EXPECT_EQ(ntohs(begun.member_port), member_port(protocol()));
  EXPECT_EQ(std::memcmp(&begun.source, &begun.vip, sizeof begun.vip), 0);
  make_all_older(SLUICE_TIMEOUT_ESTABLISHED_SECONDS + 600);
  expire();
  const auto ended = only_change(FlowEvent::ends);
  EXPECT_EQ(ended.client_port, begun.client_port);
  EXPECT_EQ(ended.source_port, begun.source_port);
}

TEST_P(Replica, NothingIsToldUnlessSomebodyWantsIt) {
  ASSERT_TRUE(replicas_->tell_changes(false));
  open(protocol());
  expire();
  EXPECT_TRUE(changes().empty());
  const auto lost = replicas_->lost();
  ASSERT_TRUE(lost);
  EXPECT_EQ(*lost, 0U);
}

TEST_P(Replica, CountsAgainstLimitsButIsNotWhatThisNodeHasCarried) {
  const auto image = connection_of_another(protocol());
  const auto before = counts();
  ASSERT_EQ(before.active, 0U);
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  auto wanted = before;
  wanted.active = wanted.confirmed = 1;
  EXPECT_EQ(counts(), wanted);
  EXPECT_EQ(state_of_flow(), "replica");
  client(ACK);
  ++wanted.opened;
  EXPECT_EQ(counts(), wanted) << "its first packet opens it here";
  make_all_older(SLUICE_TIMEOUT_ESTABLISHED_SECONDS + 600);
  expire();
  ++wanted.ended;
  wanted.active = wanted.confirmed = 0;
  EXPECT_EQ(counts(), wanted);
}

// A listener's limit is that of the fleet, not of each node.
TEST_P(Replica, OfTheListenersLimitIsOneLessForNewConnections) {
  const auto image = connection_of_another(protocol());
  auto limited = listener(pool(protocol()), listener_index);
  limited.id = image.listener_id;
  limited.connection_limit = 1;
  put_listener(net().vip, listener_port(protocol()), protocol(), limited);
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  EXPECT_EQ(receive(from_client(protocol(), SYN, 41000)).reason, "connection_limit");
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  forget_flows();
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  end(image);
  EXPECT_EQ(receive(from_client(protocol(), SYN, 41000)).reason, "flow_created");
}

// The member with the fewest connections is that of the fleet.
TEST_P(Replica, OfItsMemberCountsForLeastConnections) {
  const auto image = connection_of_another(protocol());
  const auto first = member_index(1, protocol()), second = member_index(2, protocol());
  put_pool(pool(protocol()), SLUICE_FULLNAT,
           {SLUICE_RING_WEIGHTED(first, 1), SLUICE_RING_WEIGHTED(second, 1)},
           SLUICE_LEAST_CONNECTIONS);
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  const auto of_first = member_counters(first).flows_opened;
  EXPECT_EQ(receive(from_client(protocol(), SYN, 41000)).reason, "flow_created");
  EXPECT_EQ(member_counters(first).flows_opened, of_first);
  EXPECT_EQ(member_counters(second).flows_opened, 1U);
}

TEST_P(Replica, LeavesAsQuietlyAsItCame) {
  const auto image = connection_of_another(protocol());
  const auto before = counts();
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  end(image);
  EXPECT_EQ(counts(), before);
  EXPECT_EQ(state_of_flow(), "");
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  make_all_older(SLUICE_TIMEOUT_ESTABLISHED_SECONDS + SLUICE_REFRESH_SECONDS + 600);
  expire();
  EXPECT_EQ(counts(), before);
  EXPECT_EQ(state_of_flow(), "");
  EXPECT_TRUE(changes().empty()) << "nobody is told of a replica";
}

// It was taken over, and told; then it went on at another node, and ended there. Whoever hears of
// the beginning late hears of this end after it.
TEST_P(Replica, ThatThisNodeHasTakenOverIsToldAsEndedWhenAnotherNodeEndsIt) {
  const auto image = connection_of_another(protocol());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  client(ACK);
  only_change(FlowEvent::begins);
  make_all_older(100);
  end(image);
  EXPECT_EQ(state_of_flow(), "");
  const auto told = only_change(FlowEvent::ends);
  EXPECT_EQ(told.client_port, image.client_port);
  EXPECT_EQ(told.source_port, image.source_port);
  EXPECT_EQ(told.member_port, image.member_port);
  end(image);
  EXPECT_TRUE(changes().empty());
}

// The node that it lives on was asked for all its connections and has not told it.
TEST_P(Replica, IsEndedByItsClientsSideAlone) {
  const auto image = connection_of_another(protocol());
  sluice_flow_image side{};
  side.family = image.family;
  side.protocol = image.protocol;
  side.client = image.client;
  side.vip = image.vip;
  side.client_port = image.client_port;
  side.vip_port = image.vip_port;
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  auto other = image;
  other.source_port = htons(41000);
  end(other);
  EXPECT_EQ(state_of_flow(), "replica") << "another one from the same port";
  end(side);
  EXPECT_EQ(state_of_flow(), "");
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  client(ACK);
  make_all_older(60);
  end(side);
  EXPECT_EQ(state_of_flow(), "established") << "this node's own";
}

TEST_P(Replica, OutlivesItsIdleTimeByHalf) {
  const auto image = connection_of_another(protocol());
  const std::uint32_t idle = protocol() == L4::udp ? SLUICE_TIMEOUT_UDP_REPLIED_SECONDS
                                                   : SLUICE_TIMEOUT_ESTABLISHED_SECONDS;
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  make_all_older(idle + 20);
  expire();
  EXPECT_EQ(state_of_flow(), "replica") << "its node may not have had its turn to tell";
}

// A node records what it has carried: a beginning and an end of each, and nothing of replicas.
TEST_P(Replica, IsRecordedAsWhatThisNodeCarriesOfIt) {
  using Records = std::vector<std::pair<int, int>>;
  const std::uint32_t all = 1;
  ASSERT_EQ(bpf_map_update_elem(map("listener_records"), &listener_index, &all, BPF_EXIST), 0);
  const auto image = connection_of_another(protocol());
  recorded();
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  end(image);
  EXPECT_EQ(recorded(), Records());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  client(ACK);
  EXPECT_EQ(recorded(), Records({{SLUICE_RECORD_BEGINS, SLUICE_RECORD_NO_END}}));
  make_all_older(60);
  ASSERT_EQ(put(image), SLUICE_PUT_REFRESHED);
  EXPECT_EQ(recorded(), Records({{SLUICE_RECORD_ENDS, SLUICE_RECORD_MOVED}}));
  end(image);
  EXPECT_EQ(recorded(), Records());
  const std::uint32_t none = 0;
  bpf_map_update_elem(map("listener_records"), &listener_index, &none, BPF_EXIST);
}

// An error about its packet needs the same next hop, with which its packets must not slip through
// untold.
TEST_P(Replica, AnIcmpErrorAboutItDoesNotTakeItOver) {
  const auto image = connection_of_another(protocol());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  const auto answer = at_client(from_member(1, protocol(), ACK)).ip_bytes();
  auto error = family() == 4 ? icmp_error(net().other_client, net().vip, 3, 1, 0, answer)
                             : icmp_error(net().other_client, net().vip, 1, 0, 0, answer);
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  EXPECT_EQ(receive(error).reason, "icmp_forwarded");
  EXPECT_EQ(state_of_flow(), "replica");
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  only_change(FlowEvent::begins);
  EXPECT_EQ(state_of_flow(), "established");
}

TEST_P(Replica, WhoTakesItOverTellsAndItsEnd) {
  const auto image = connection_of_another(protocol());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  member(ACK);
  const auto taken = only_change(FlowEvent::begins);
  EXPECT_EQ(taken.client_port, image.client_port);
  EXPECT_EQ(taken.source_port, image.source_port);
  client(ACK);
  EXPECT_TRUE(changes().empty());
  if (protocol() == L4::udp) return;
  client(RST | ACK);
  only_change(FlowEvent::ends);
}

TEST_P(Replica, IsInTheWalkAsOne) {
  const auto image = connection_of_another(protocol());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  auto walked = walk();
  ASSERT_EQ(walked.size(), 1U);
  EXPECT_TRUE(dataplane::is_replica(walked[0]));
  EXPECT_EQ(walked[0].client_port, image.client_port);
  EXPECT_EQ(walked[0].listener_id.bytes[0], image.listener_id.bytes[0]);
  forget_flows();
  ASSERT_EQ(put(walked[0]), SLUICE_PUT_DONE) << "it can be told on";
  client(ACK);
  walked = walk();
  ASSERT_EQ(walked.size(), 1U);
  EXPECT_EQ(walked[0].client_port, image.client_port);
  EXPECT_EQ(walked[0].member_id.bytes[0], 1);
  EXPECT_EQ(walked[0].phase, 3);
  forget_flows();
  ASSERT_EQ(put(walked[0]), SLUICE_PUT_DONE) << "it can be told on";
  forget_flows();
  client(SYN);
  EXPECT_TRUE(walk().empty()) << "nobody has confirmed it";
}

TEST_P(Replica, ThatIsToldAgainIsRefreshed) {
  const auto image = connection_of_another(protocol());
  const auto before = counts();
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  const auto with_it = counts();
  make_all_older(100);
  EXPECT_EQ(put(image), SLUICE_PUT_REFRESHED);
  EXPECT_EQ(counts(), with_it);
  make_all_older(100);
  expire();
  EXPECT_EQ(state_of_flow(), "replica");
  end(image);
  EXPECT_EQ(counts(), before);
}

TEST_P(Replica, NeverTouchesAConnectionThatHasPacketsHere) {
  open(protocol());
  auto image = only_change(FlowEvent::begins);
  const auto before = counts();
  EXPECT_EQ(put(image), SLUICE_PUT_EXISTS);
  image.member_id.bytes[0] = 2;  // nor one that differs
  image.member_port = htons(9999);
  EXPECT_EQ(put(image), SLUICE_PUT_EXISTS);
  EXPECT_EQ(counts(), before);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  EXPECT_EQ(state_of_flow(), "established");
  EXPECT_TRUE(changes().empty());
}

// The connection moved to another node, which tells that it lives; then it comes back.
TEST_P(Replica, IsWhatAConnectionBecomesThatMovedAway) {
  open(protocol());
  const auto image = only_change(FlowEvent::begins);
  const auto before = counts();
  make_all_older(60);
  ASSERT_EQ(put(image), SLUICE_PUT_REFRESHED);
  auto wanted = before;
  ++wanted.ended;
  EXPECT_EQ(counts(), wanted) << "it has ended here, and is counted";
  EXPECT_EQ(state_of_flow(), "replica");
  EXPECT_TRUE(changes().empty());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(receive(from_member(1, protocol(), ACK)).reason, "replied");
    EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  }
  ++wanted.opened;
  EXPECT_EQ(counts(), wanted);
  only_change(FlowEvent::begins);
  EXPECT_EQ(state_of_flow(), "established");
}

TEST_P(Replica, WordOfAnEndRemovesWhatMovedAwayAndNotWhatIsHere) {
  open(protocol());
  const auto image = only_change(FlowEvent::begins);
  end(image);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
    EXPECT_EQ(receive(from_member(1, protocol(), ACK)).reason, "replied");
  }
  if (protocol() == L4::tcp) {
    EXPECT_EQ(state_of_flow(), "established") << "data takes it back";
  }
  changes();
  end(image);
  make_all_older(SLUICE_TIMEOUT_CLOSING_SECONDS + 60);
  expire();
  EXPECT_EQ(state_of_flow(), "") << "what is silent after it is removed";
  changes();
  open(protocol());
  const auto again = only_change(FlowEvent::begins);
  const auto before = counts();
  make_all_older(60);
  end(again);
  EXPECT_EQ(state_of_flow(), "");
  EXPECT_EQ(counts().active, 0U);
  EXPECT_EQ(counts().ended, before.ended + 1);
  only_change(FlowEvent::ends);
}

// The end of an older connection from the same port never came here.
TEST_P(Replica, TakesThePlaceOfOneThatIsOfNoMoreUse) {
  const auto image = connection_of_another(protocol());
  auto newer = image;
  newer.member_id.bytes[0] = 2;
  std::string address = net().member2;
  inet_pton(family() == 4 ? AF_INET : AF_INET6, address.c_str(), &newer.member);
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  const auto with_one = counts();
  ASSERT_EQ(put(newer), SLUICE_PUT_DONE);
  EXPECT_EQ(counts(), with_one);
  const auto data = from_client(protocol(), ACK);
  EXPECT_TRUE(same_frame(receive(data).frame, at_member(data, 2).bytes()));
  forget_flows();
  changes();
  // Another client has got its source port.
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  auto other = image;
  other.client_port = htons(41000);
  ASSERT_EQ(put(other), SLUICE_PUT_DONE);
  EXPECT_EQ(counts().active, 1U);
  forget_flows();
  // A client that nobody has heard of since here was served elsewhere.
  client(SYN);
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  EXPECT_EQ(counts().active, 1U);
  EXPECT_EQ(counts().half_open, 0U);
  EXPECT_EQ(state_of_flow(), "replica");
}

TEST_P(Replica, NeverTakesALiveConnectionsSourcePort) {
  open(protocol());
  auto image = only_change(FlowEvent::begins);
  const auto before = counts();
  image.client_port = htons(41000);
  EXPECT_EQ(put(image), SLUICE_PUT_PORT_TAKEN);
  EXPECT_EQ(counts(), before);
}

TEST_P(Replica, IsOnlyOfWhatIsKnownHereAndLives) {
  const auto image = connection_of_another(protocol());
  auto other = image;
  other.listener_id.bytes[7] ^= 1;
  EXPECT_EQ(put(other), SLUICE_PUT_NO_MEMBER);
  other = image;
  other.member_id.bytes[7] ^= 1;
  EXPECT_EQ(put(other), SLUICE_PUT_NO_MEMBER);
  for (const std::uint8_t phase : {0, 1, 4, 8, 10, 12, 13, 16}) {
    other = image;
    other.phase = phase;
    EXPECT_EQ(put(other), SLUICE_PUT_UNFIT) << int{phase};
  }
  other = image;
  other.family = 5;
  EXPECT_EQ(put(other), SLUICE_PUT_UNFIT);
  EXPECT_EQ(state_of_flow(), "");
  EXPECT_EQ(counts().active, 0U);
}

TEST_P(Replica, ItsNodeTellsThatItLivesOncePerPeriod) {
  open(protocol());
  changes();
  expire();
  EXPECT_TRUE(changes().empty()) << "the first sweep only begins";
  const std::uint32_t refreshed = SLUICE_FLEET_REFRESHED;
  std::uint64_t tick = 0;
  ASSERT_EQ(bpf_map_lookup_elem(map("fleet"), &refreshed, &tick), 0);
  tick -= 1000;  // longer than any period
  ASSERT_EQ(bpf_map_update_elem(map("fleet"), &refreshed, &tick, BPF_ANY), 0);
  expire();
  const auto told = only_change(FlowEvent::refreshed);
  EXPECT_EQ(ntohs(told.client_port), 40000);
  EXPECT_LT(told.client_idle, 30);
  expire();
  EXPECT_TRUE(changes().empty());
  // A silent one, and a replica.
  make_all_older(protocol() == L4::udp ? 100 : SLUICE_REFRESH_SECONDS + 100);
  ASSERT_EQ(bpf_map_update_elem(map("fleet"), &refreshed, &tick, BPF_ANY), 0);
  expire();
  EXPECT_TRUE(changes().empty());
  forget_flows();
  ASSERT_EQ(put(told), SLUICE_PUT_DONE);
  ASSERT_EQ(bpf_map_update_elem(map("fleet"), &refreshed, &tick, BPF_ANY), 0);
  expire();
  EXPECT_TRUE(changes().empty());
}

class ReplicaTcp : public Replica {};
INSTANTIATE_TEST_SUITE_P(, ReplicaTcp,
                         ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::tcp)),
                         family_and_protocol);

TEST_P(ReplicaTcp, EndsAsAnyOtherConnection) {
  const auto image = connection_of_another(protocol());
  const auto before = counts();
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  client(FIN | ACK);
  EXPECT_EQ(state_of_flow(), "closing");
  only_change(FlowEvent::begins);
  member(FIN | ACK);
  EXPECT_EQ(state_of_flow(), "closed");
  only_change(FlowEvent::ends);
  EXPECT_EQ(counts().opened, before.opened + 1);
  EXPECT_EQ(counts().ended, before.ended + 1);
  EXPECT_EQ(counts().active, 0U);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded")
      << "the last acknowledgement";
}

TEST_P(ReplicaTcp, AForgedResetIsTakenBack) {
  const auto image = connection_of_another(protocol());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  client(RST | ACK);
  EXPECT_EQ(state_of_flow(), "closed");
  only_change(FlowEvent::ends);
  EXPECT_EQ(counts().active, 0U);
  client(ACK);
  only_change(FlowEvent::begins);
  EXPECT_EQ(counts().active, 1U);
  EXPECT_EQ(counts().confirmed, 1U);
  EXPECT_EQ(state_of_flow(), "established");
}

// Routes have changed: the connection's packets are faster than the word of it.
TEST_P(ReplicaTcp, InGraceNobodyIsResetForWhatMayBeToldSoon) {
  const auto image = connection_of_another(protocol());
  put_vip(net().vip, true, SLUICE_VIP_REJECTS);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "rejected");
  EXPECT_EQ(receive(from_member(1, protocol(), ACK)).reason, "rejected");
  ASSERT_TRUE(replicas_->grace(60s));
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "in_grace");
  EXPECT_EQ(receive(from_member(1, protocol(), ACK)).reason, "in_grace");
  EXPECT_EQ(receive(from_member(1, L4::udp, ACK)).reason, "in_grace");
  EXPECT_EQ(receive(from_client(protocol(), SYN, 41000)).reason, "flow_created");
  expire();
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "in_grace") << "the sweep leaves it on";
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  forget_flows();
  ASSERT_TRUE(replicas_->grace(1ms));
  std::this_thread::sleep_for(2ms);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "rejected");
  const std::uint32_t until = SLUICE_FLEET_GRACE_UNTIL;
  std::uint64_t value = 0;
  expire();
  ASSERT_EQ(bpf_map_lookup_elem(map("fleet"), &until, &value), 0);
  EXPECT_EQ(value, 0U) << "the sweep forgets what is over";
}

TEST_P(ReplicaTcp, InGracePoolsThatHashAdoptOnlyWhatNobodyTells) {
  for (const auto mode : {SLUICE_DNAT, SLUICE_DSR}) {
    use(mode, protocol());
    put_pool(pool(), mode, {member_index(1)}, SLUICE_SOURCE_IP_PORT);
    EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "flow_created");
    forget_flows();
    ASSERT_TRUE(replicas_->grace(60s));
    EXPECT_EQ(receive(from_client(protocol(), ACK)).reason,
              mode == SLUICE_DNAT ? "in_grace" : "flow_created");
    forget_flows();
    ASSERT_TRUE(replicas_->grace(0ms));
  }
}

// Pools that hash find the member of such a connection on any node.
TEST_P(ReplicaTcp, OfAPoolThatHashesAndWhoseMembersAnswerDirectlyNobodyIsTold) {
  answers_directly_ = true;
  use(SLUICE_DSR, protocol());
  put_pool(pool(), SLUICE_DSR, {member_index(1)}, SLUICE_SOURCE_IP_PORT);
  open(protocol());
  EXPECT_TRUE(changes().empty());
  EXPECT_TRUE(walk().empty());
}

TEST_P(ReplicaTcp, OfAListenerWithARangeOfPortsIsToldAndKnown) {
  auto value = listener(pool(), listener_index);
  value.id.bytes[0] = 7;
  put_listener(net().vip, 30000, 30099, protocol(), value);
  const auto to_port = [&](std::uint8_t flags) {
    auto p = from_client(protocol(), flags);
    p.destination_port = 30042;
    return p;
  };
  EXPECT_EQ(receive(to_port(SYN)).reason, "flow_created");
  member(SYN | ACK);
  receive(to_port(ACK));
  member(ACK);
  const auto image = only_change(FlowEvent::begins);
  EXPECT_EQ(ntohs(image.vip_port), 30042);
  EXPECT_EQ(image.listener_id.bytes[0], 7);
  EXPECT_EQ(walk().size(), 1U);
  forget_flows();
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  EXPECT_EQ(receive(to_port(ACK)).reason, "forwarded");
}

TEST_P(ReplicaTcp, ASynMeetsItsMember) {
  const auto image = connection_of_another(protocol());
  ASSERT_EQ(put(image), SLUICE_PUT_DONE);
  const auto syn = from_client(protocol(), SYN);
  EXPECT_TRUE(same_frame(receive(syn).frame, at_member(syn, 1).bytes()));
  EXPECT_EQ(state_of_flow(), "replica") << "it proves nothing";
  EXPECT_TRUE(changes().empty());
}

}  // namespace
}  // namespace sluice::test
