// A connection is recorded when it is confirmed and when it ends, if its listener is.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <memory>
#include <set>

#include "maps/record.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

struct Record {
  sluice_record head{};
  std::string client, vip, snat, member;
};

std::string text_of(int family, const void* address) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family == 4 ? AF_INET : AF_INET6, address, text, sizeof text);
}

template <typename Whole>
void read_addresses(Record& record, int family, const void* data, std::size_t bytes) {
  const auto* r = static_cast<const Whole*>(data);
  EXPECT_EQ(bytes, sizeof *r);
  record.client = text_of(family, &r->client);
  record.vip = text_of(family, &r->vip);
  record.snat = text_of(family, &r->snat);
  record.member = text_of(family, &r->member);
}

int keep(void* records, void* data, std::size_t bytes) {
  Record record;
  std::memcpy(&record.head, data, sizeof record.head);
  if (record.head.family == 4) {
    read_addresses<sluice_record4>(record, 4, data, bytes);
  } else {
    read_addresses<sluice_record6>(record, 6, data, bytes);
  }
  static_cast<std::vector<Record>*>(records)->push_back(record);
  return 0;
}

class Recorded : public AllProtocols {
 protected:
  static constexpr std::uint32_t index = 9;  // the listeners'
  // Longer than any idle time, and not so long that the flows' clock has gone round.
  static constexpr std::uint32_t idle_for_long = SLUICE_TIMEOUT_ESTABLISHED_SECONDS + 600;

  void SetUp() override {
    Traffic::SetUp();
    if (!IsSkipped()) record_one_of(1);
  }
  void record_one_of(std::uint32_t connections) {
    ASSERT_EQ(bpf_map_update_elem(map("listener_records"), &index, &connections, BPF_EXIST), 0);
  }
  // The records since the last call.
  std::vector<Record> records() {
    std::vector<Record> result;
    const std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring(
        ring_buffer__new(map("records"), keep, &result, nullptr), ring_buffer__free);
    EXPECT_TRUE(ring);
    if (ring) ring_buffer__consume(ring.get());
    return result;
  }
  std::uint64_t losses() {
    const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
    std::vector<std::uint64_t> lost(cpus);
    const std::uint32_t zero = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map("record_losses"), &zero, lost.data()), 0);
    std::uint64_t sum = 0;
    for (const auto n : lost) sum += n;
    return sum;
  }
  // Opens a connection to member 1 and forgets its first record.
  void open(std::uint16_t port = 40000) {
    establish(protocol(), port);
    EXPECT_EQ(records().size(), 1U);
  }
  void expect_one(sluice_record_event event, sluice_record_end end) {
    const auto told = records();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].head.event, event);
    EXPECT_EQ(told[0].head.end, end);
    EXPECT_EQ(told[0].head.family, family());
    expect_ends(told[0]);
  }
  void expect_end(sluice_record_end end) { expect_one(SLUICE_RECORD_ENDS, end); }
  // The addresses and ports of a connection from port 40000 to member 1 in fullnat.
  void expect_ends(const Record& record) {
    EXPECT_EQ(record.client, net().client);
    EXPECT_EQ(record.vip, net().vip);
    EXPECT_EQ(record.snat, snat_.empty() ? net().vip : snat_);
    EXPECT_EQ(record.member, net().member1);
    EXPECT_EQ(ntohs(record.head.client_port), 40000);
    EXPECT_EQ(ntohs(record.head.vip_port), listener_port(protocol()));
    EXPECT_EQ(ntohs(record.head.snat_port), 40000);
    EXPECT_EQ(ntohs(record.head.member_port), member_port(protocol()));
    EXPECT_EQ(SLUICE_STATE_GET(record.head.state, LISTENER_IN_BANK), index);
    EXPECT_EQ(SLUICE_STATE_GET(record.head.state, MEMBER), member_index(1, protocol()));
  }
  void client(std::uint8_t flags, std::uint16_t port = 40000) {
    receive(from_client(protocol(), flags, port));
  }
  void member(std::uint8_t flags, std::uint16_t port = 40000) {
    receive(from_member(1, protocol(), flags, port));
  }
  void set_member(bool usable, std::uint32_t flags) {
    put_member(member_index(1, protocol()), net().member1, member_port(protocol()), usable, flags);
  }
};
FOR_ALL_PROTOCOLS(Recorded);

std::uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

TEST_P(Recorded, AConnectionIsRecordedOnceWhenItIsConfirmed) {
  const auto before = now();
  client(SYN);
  EXPECT_TRUE(records().empty());
  usleep(2000);
  member(SYN | ACK);
  client(ACK);
  member(ACK);
  client(ACK);
  const auto told = records();
  ASSERT_EQ(told.size(), 1U);
  const auto& head = told[0].head;
  EXPECT_EQ(head.event, SLUICE_RECORD_BEGINS);
  EXPECT_EQ(head.end, SLUICE_RECORD_NO_END);
  EXPECT_EQ(head.family, family());
  EXPECT_GE(head.nanoseconds, before);
  EXPECT_LE(head.nanoseconds, now());
  const auto number = protocol() == L4::tcp   ? SLUICE_FLOW_TCP
                      : protocol() == L4::udp ? SLUICE_FLOW_UDP
                                              : SLUICE_FLOW_SCTP;
  EXPECT_EQ(SLUICE_STATE_GET(head.state, PROTOCOL), number);
  EXPECT_EQ(sluice_flow_phase(head.state), SLUICE_PHASE_OPEN);
  expect_ends(told[0]);
  if (protocol() == L4::udp) {
    EXPECT_EQ(head.handshake_microseconds, 0U) << "UDP shakes no hands";
  } else {
    EXPECT_GE(head.handshake_microseconds, 2000U);
    EXPECT_LE(head.handshake_microseconds, (now() - before) / 1000);
  }
}

TEST_P(Recorded, TheSourceMayBeASnatAddress) {
  use_snat(family() == 4 ? "10.0.0.30" : "2001:db8::30", protocol(),
           listener(pool(protocol()), index));
  establish(protocol());
  expect_one(SLUICE_RECORD_BEGINS, SLUICE_RECORD_NO_END);
  make_all_older(idle_for_long);
  expire();
  expect_end(SLUICE_RECORD_IDLE);
}

TEST_P(Recorded, NothingIsRecordedOfAListenerThatIsNot) {
  record_one_of(0);
  establish(protocol());
  client(RST);
  make_all_older(idle_for_long);
  expire();
  EXPECT_TRUE(records().empty());
  EXPECT_EQ(losses(), 0U);
}

TEST_P(Recorded, ConnectionsThatNobodyConfirmsAreNot) {
  for (std::uint16_t port = 40000; port < 40300; ++port) client(SYN, port);
  if (protocol() != L4::udp) {
    member(SYN | ACK, 40299);
    member(RST | ACK, 40298);
    client(RST, 40297);
  }
  make_all_older(idle_for_long);
  expire();
  EXPECT_TRUE(records().empty());
}

TEST_P(Recorded, ASilentOneEndsAsIdle) {
  open();
  make_all_older(idle_for_long);
  expire();
  expect_end(SLUICE_RECORD_IDLE);
}

TEST_P(Recorded, OneThatTheOperatorRemovesEndsAsFlushed) {
  open();
  ASSERT_EQ(flush_all(family()), 1U);
  expect_end(SLUICE_RECORD_FLUSHED);
}

TEST_P(Recorded, OneBeyondTheConnectionLimitBeginsAndEnds) {
  auto limited = listener(pool(protocol()), index);
  limited.connection_limit = 0;
  client(SYN);
  put_listener(net().vip, listener_port(protocol()), protocol(), limited);
  member(SYN | ACK);
  client(ACK);
  const auto told = records();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].head.event, SLUICE_RECORD_BEGINS);
  EXPECT_EQ(told[1].head.event, SLUICE_RECORD_ENDS);
  EXPECT_EQ(told[1].head.end, SLUICE_RECORD_OVER_LIMIT);
  expect_ends(told[1]);
}

// UDP leaves the member at the next sweep, a connection is reset at its client's next packet.
TEST_P(Recorded, WhatItsMemberDidEndsIt) {
  const struct {
    std::uint32_t flags;
    sluice_record_end end;
  } cases[] = {{SLUICE_MEMBER_FAILED | SLUICE_MEMBER_GIVEN_UP, SLUICE_RECORD_MEMBER_DOWN},
               {SLUICE_MEMBER_REMOVED | SLUICE_MEMBER_GIVEN_UP, SLUICE_RECORD_MEMBER_REMOVED},
               {SLUICE_MEMBER_GIVEN_UP, SLUICE_RECORD_DRAINED}};
  put_pool(pool(protocol()), SLUICE_FULLNAT, {member_index(1, protocol())});
  for (const auto& [flags, end] : cases) {
    set_member(true, 0);
    open();
    set_member(false, flags);
    expire();
    if (protocol() != L4::udp) client(ACK);
    expect_end(end);
  }
}

TEST_P(Recorded, OneOfFourMeansBothRecordsOfAConnectionOrNone) {
  record_one_of(4);
  put_pool(pool(protocol()), SLUICE_FULLNAT, {member_index(1, protocol())});
  std::set<std::uint16_t> begun, ended;
  constexpr std::uint16_t connections = 60;
  for (std::uint16_t i = 0; i < connections; ++i)
    establish(protocol(), static_cast<std::uint16_t>(40000 + i));
  for (const auto& record : records()) begun.insert(record.head.client_port);
  make_all_older(idle_for_long);
  expire();
  for (const auto& record : records()) ended.insert(record.head.client_port);
  EXPECT_EQ(begun, ended);
  // A binomial distribution with a mean of 15 is outside of this once in 10^7 runs.
  EXPECT_GE(begun.size(), 1U);
  EXPECT_LE(begun.size(), 34U);
}

// Moves the consumer's position back, as if it had not read for long.
TEST_P(Recorded, WhatFindsNoRoomIsCountedAndThePacketGoesOn) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  records();
  void* const consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map("records"), 0);
  void* const producer =
      mmap(nullptr, page, PROT_READ, MAP_SHARED, map("records"), static_cast<off_t>(page));
  ASSERT_NE(consumer, MAP_FAILED);
  ASSERT_NE(producer, MAP_FAILED);
  auto* const position = static_cast<std::uint64_t*>(consumer);
  const auto produced = *static_cast<const std::uint64_t*>(producer);
  *position = produced - (SLUICE_RECORDS_BYTES - 40);
  put_pool(pool(protocol()), SLUICE_FULLNAT, {member_index(1, protocol())});
  establish(protocol());
  EXPECT_EQ(losses(), 1U);
  *position = produced;
  EXPECT_TRUE(records().empty());
  open(40001);
  EXPECT_EQ(losses(), 1U);
  munmap(consumer, page);
  munmap(producer, page);
}

class RecordedTcp : public Recorded {};
INSTANTIATE_TEST_SUITE_P(, RecordedTcp,
                         ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::tcp)),
                         family_and_protocol);

TEST_P(RecordedTcp, ANewOneFromTheSamePortReplacesIt) {
  open();
  make_all_older(idle_for_long);
  client(SYN);
  expect_end(SLUICE_RECORD_REPLACED);
}

TEST_P(RecordedTcp, EitherOrderOfFinsIsOneEnd) {
  open();
  client(FIN | ACK);
  EXPECT_TRUE(records().empty());
  member(FIN | ACK);
  expect_end(SLUICE_RECORD_FINISHED);
  auto last = from_client(protocol(), ACK);
  last.data = {};
  receive(last);
  make_all_older(idle_for_long);
  expire();
  EXPECT_TRUE(records().empty()) << "the sweep removes what has ended";
  put_pool(pool(), SLUICE_FULLNAT, {member_index(1)});
  open();
  member(FIN | ACK);
  client(FIN | ACK);
  expect_end(SLUICE_RECORD_FINISHED);
}

TEST_P(RecordedTcp, WhoHasResetItIsRecorded) {
  put_pool(pool(), SLUICE_FULLNAT, {member_index(1)});
  open();
  client(RST | ACK);
  expect_end(SLUICE_RECORD_CLIENT_RESET);
  make_all_older(idle_for_long);
  expire();
  open();
  member(RST | ACK);
  expect_end(SLUICE_RECORD_MEMBER_RESET);
  make_all_older(idle_for_long);
  expire();
  open();
  member(FIN | ACK);
  client(RST | ACK);
  expect_end(SLUICE_RECORD_CLIENT_RESET);
}

TEST_P(RecordedTcp, AForgedResetIsAnEndThatIsTakenBack) {
  open();
  client(RST | ACK);
  expect_end(SLUICE_RECORD_CLIENT_RESET);
  client(ACK);
  expect_one(SLUICE_RECORD_RESUMES, SLUICE_RECORD_NO_END);
  client(FIN | ACK);
  member(FIN | ACK);
  expect_end(SLUICE_RECORD_FINISHED);
}

// What has the shortest life of all protocols: thousands of clients of one listener.
class RecordedUdp : public Recorded {};
INSTANTIATE_TEST_SUITE_P(, RecordedUdp,
                         ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::udp)),
                         family_and_protocol);

TEST_P(RecordedUdp, TheLongestIdleOneEndsAsEvictedWhenTheListenerHasItsShare) {
  put_pool(pool(L4::udp), SLUICE_FULLNAT, {member_index(1, L4::udp)});
  open();
  make_all_older(60);
  constexpr auto share = SLUICE_LISTENER_UNPROVEN_SHARE(flow_capacity);
  std::vector<Record> ended;
  for (std::uint16_t i = 1; i <= share + 40 && ended.empty(); ++i) {
    establish(L4::udp, static_cast<std::uint16_t>(40000 + i));
    for (const auto& record : records())
      if (record.head.event == SLUICE_RECORD_ENDS) ended.push_back(record);
  }
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].head.end, SLUICE_RECORD_EVICTED);
  EXPECT_EQ(ended[0].member, net().member1);
}

class RecordedModes : public Recorded {};
INSTANTIATE_TEST_SUITE_P(, RecordedModes,
                         ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::tcp)),
                         family_and_protocol);

TEST_P(RecordedModes, TheMemberSeesTheClientUnlessItIsFullnat) {
  use_mode(SLUICE_DNAT);
  establish(L4::tcp, 40000, true);
  auto told = records();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].snat, net().client);
  EXPECT_EQ(told[0].member, net().member1);
  make_all_older(idle_for_long);
  expire();
  told = records();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].snat, net().client);
  EXPECT_EQ(told[0].member, net().member1);
}

TEST_P(RecordedModes, AMemberThatAnswersDirectlyIsKnownByItsAddress) {
  for (const auto mode : {SLUICE_DSR, SLUICE_IPIP}) {
    use_mode(mode);
    put_pool(pool(), mode, {member_index(1)});
    client(SYN);
    client(ACK);
    auto told = records();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].head.event, SLUICE_RECORD_BEGINS);
    EXPECT_EQ(told[0].vip, net().vip);
    EXPECT_EQ(told[0].snat, net().client);
    EXPECT_EQ(told[0].member, net().member1);
    make_all_older(idle_for_long);
    expire();
    told = records();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].head.end, SLUICE_RECORD_IDLE);
    EXPECT_EQ(told[0].member, net().member1);
  }
}

}  // namespace
}  // namespace sluice::test
