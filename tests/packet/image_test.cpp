// Connections that leave the flow tables as images and enter them again (maps/flow_image.h): for
// their packets nothing has happened in between.
#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/flow_images.hpp"
#include "dataplane/flow_list.hpp"
#include "packet/identified.hpp"

namespace sluice::test {
namespace {

using dataplane::Counted;
using Images = std::vector<sluice_flow_image>;

class ImageTest : public Identified {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (const L4 each : {L4::tcp, L4::udp, L4::sctp}) name_objects(each, SLUICE_FULLNAT);
  }
  kernel::LoadOptions load_options() const override { return with_room(1U << 12, 1U << 12); }
  void TearDown() override {
    forget_flows();
    Traffic::TearDown();
  }

  Images walk() {
    Images found;
    const auto keep = [&](auto batch) {
      found.insert(found.end(), batch.begin(), batch.end());
      return true;
    };
    const auto walked = dataplane::walk_images(program().walk_fd(), family_number(), keep);
    EXPECT_TRUE(walked) << walked.error().text();
    return found;
  }
  // What became of the first one.
  sluice_flow_put_result put(Images images, Counted counted = Counted::not_yet) {
    const auto done = dataplane::put_images(program().put_fd(), images, counted);
    EXPECT_TRUE(done) << done.error().text();
    const int result = images.empty() ? int{SLUICE_PUT_UNFIT} : images.front().result;
    return static_cast<sluice_flow_put_result>(result);
  }
  // Unlike forget_flows() it lets the counters as they are.
  void clear_tables() {
    const sluice_bucket4 empty4{};
    const sluice_bucket6 empty6{};
    for (std::uint32_t i = 0; bpf_map_update_elem(map("flows4"), &i, &empty4, BPF_EXIST) == 0;
         ++i) {
    }
    for (std::uint32_t i = 0; bpf_map_update_elem(map("flows6"), &i, &empty6, BPF_EXIST) == 0;
         ++i) {
    }
  }
  // Removes the connections of those clients of whose numbers this is the first byte.
  void flush_clients(unsigned first_byte) {
    const auto visit = [&](const dataplane::FoundFlow& found) {
      const auto& address = found.flow.client.address;
      const auto byte =
          address.is_v4() ? address.to_v4().to_bytes()[0] : address.to_v6().to_bytes()[12];
      if (byte == first_byte) {
        EXPECT_TRUE(dataplane::flush_flow(program().flush_fd(), found.slot));
      }
      return true;
    };
    ASSERT_TRUE(dataplane::for_each_flow(program(), {}, {}, visit));
  }
  std::uint32_t family_number() const { return static_cast<std::uint32_t>(family()); }

  std::uint64_t half_open() {
    const std::uint32_t which = family() == 4 ? 0 : 1;
    sluice_half_open value{};
    EXPECT_EQ(bpf_map_lookup_elem(map("half_open"), &which, &value), 0);
    return value.flows;
  }
};

class Image : public ImageTest, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const { return std::get<1>(GetParam()); }

  void expect_forwarded_both_ways(bool keeps_client = false) {
    // The first packet of each direction finds its next hop, the second one takes the fast path.
    for (int i = 0; i < 2; ++i) {
      const auto data = from_client(protocol(), ACK);
      const auto out = receive(data);
      EXPECT_EQ(out.reason, "forwarded");
      EXPECT_TRUE(same_frame(out.frame, at_member(data, 1, keeps_client).bytes()));
      const auto answer = from_member(1, protocol(), ACK, 40000, keeps_client);
      const auto back = receive(answer);
      EXPECT_EQ(back.reason, "replied");
      EXPECT_TRUE(same_frame(back.frame, at_client(answer).bytes()));
    }
  }
};
FOR_ALL_PROTOCOLS(Image);

TEST_P(Image, NamesEverythingOfAConnection) {
  establish(protocol());
  const auto found = walk();
  ASSERT_EQ(found.size(), 1U);
  const auto& image = found.front();
  const auto address = [&](const std::string& text) {
    sluice_address wanted{};
    inet_pton(family() == 4 ? AF_INET : AF_INET6, text.c_str(), &wanted);
    return wanted;
  };
  const auto same = [](const sluice_address& a, const sluice_address& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
  };
  EXPECT_TRUE(same(image.client, address(net().client)));
  EXPECT_TRUE(same(image.vip, address(net().vip)));
  EXPECT_TRUE(same(image.source, address(net().vip)));
  EXPECT_TRUE(same(image.member, address(net().member1)));
  EXPECT_EQ(ntohs(image.client_port), 40000);
  EXPECT_EQ(ntohs(image.vip_port), listener_port(protocol()));
  EXPECT_EQ(ntohs(image.source_port), 40000);
  EXPECT_EQ(ntohs(image.member_port), member_port(protocol()));
  EXPECT_EQ(image.listener_id.bytes[0], static_cast<std::uint8_t>(protocol()));
  EXPECT_EQ(image.member_id.bytes[0], 1);
  EXPECT_EQ(image.member_id.bytes[15], static_cast<std::uint8_t>(protocol()));
  EXPECT_EQ(image.listener_index, listener_index);
  EXPECT_EQ(image.member_index, member_index(1, protocol()));
  EXPECT_EQ(image.family, family());
  EXPECT_EQ(image.phase, 3) << "replied and established";
  EXPECT_EQ(image.flags, 0);
}

TEST_P(Image, IsTheConnectionAgainInAnEmptyTable) {
  establish(protocol());
  const auto before = counts();
  const auto images = walk();
  ASSERT_EQ(images.size(), 1U);
  forget_flows();
  EXPECT_NE(receive(from_client(protocol(), ACK)).reason, "forwarded") << "it is gone";
  forget_flows();  // UDP: a new one
  const auto opened = counts().opened;
  ASSERT_EQ(put(images), SLUICE_PUT_DONE);
  const auto after = counts();
  EXPECT_EQ(after.opened, opened + 1);
  EXPECT_EQ(after.active, before.active);
  EXPECT_EQ(after.confirmed, before.confirmed);
  EXPECT_EQ(after.half_open, 0U);
  EXPECT_EQ(half_open(), 0U);
  expect_forwarded_both_ways();
  EXPECT_EQ(counts(), after) << "its packets confirm nothing anew";
  EXPECT_EQ(walk().front().phase, images.front().phase);
}

TEST_P(Image, KeepsTheSnatAddress) {
  snat_ = family() == 4 ? "10.0.0.30" : "2001:db8::30";
  name_objects(protocol(), SLUICE_FULLNAT);
  establish(protocol());
  const auto images = walk();
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images.front().flags, 0);
  sluice_address source{};
  inet_pton(family() == 4 ? AF_INET : AF_INET6, snat_.c_str(), &source);
  EXPECT_EQ(std::memcmp(&images.front().source, &source, sizeof source), 0);
  forget_flows();
  ASSERT_EQ(put(images), SLUICE_PUT_DONE);
  expect_forwarded_both_ways();
  forget_flows();
  // An IPv6 slot has no room for the VIP, which the listener knows, nor for the member's address.
  if (family() == 4) return;
  auto other = images;
  other.front().vip = images.front().client;
  EXPECT_EQ(put(other, Counted::already), SLUICE_PUT_UNFIT);
  other = images;
  other.front().member = images.front().client;
  EXPECT_EQ(put(other), SLUICE_PUT_UNFIT);
}

TEST_P(Image, KeepsTheClientsAddress) {
  name_objects(protocol(), SLUICE_DNAT);
  establish(protocol(), 40000, true);
  const auto images = walk();
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images.front().flags, SLUICE_IMAGE_KEEPS_CLIENT);
  forget_flows();
  ASSERT_EQ(put(images), SLUICE_PUT_DONE);
  expect_forwarded_both_ways(true);
}

TEST_P(Image, OfAMemberThatAnswersDirectlyTakesOneSlot) {
  for (const auto mode : {SLUICE_DSR, SLUICE_IPIP}) {
    name_objects(protocol(), mode);
    receive(from_client(protocol(), SYN));
    const auto second = receive(from_client(protocol(), ACK));
    EXPECT_EQ(second.reason, "forwarded");
    const auto images = walk();
    ASSERT_EQ(images.size(), 1U);
    EXPECT_EQ(images.front().flags, SLUICE_IMAGE_KEEPS_CLIENT | SLUICE_IMAGE_DIRECT);
    forget_flows();
    ASSERT_EQ(put(images), SLUICE_PUT_DONE);
    EXPECT_EQ(family() == 4 ? flows().size() : flows6().size(), 1U);
    const auto again = receive(from_client(protocol(), ACK));
    EXPECT_EQ(again.reason, "forwarded");
    EXPECT_TRUE(same_frame(again.frame, second.frame));
    forget_flows();
  }
}

TEST_P(Image, OfAHalfOpenConnectionIsCountedAsOne) {
  receive(from_client(protocol(), SYN));
  const auto images = walk();
  ASSERT_EQ(images.size(), 1U);
  const auto before = counts();
  forget_flows();
  ASSERT_EQ(put(images), SLUICE_PUT_DONE);
  EXPECT_EQ(half_open(), 1U);
  EXPECT_EQ(counts().half_open, before.half_open);
  EXPECT_EQ(counts().confirmed, 0U);
  EXPECT_EQ(receive(from_member(1, protocol(), SYN | ACK)).reason, "replied");
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  EXPECT_EQ(receive(from_member(1, protocol(), ACK)).reason, "replied");
  EXPECT_EQ(half_open(), 0U);
  EXPECT_EQ(counts().confirmed, 1U);
}

TEST_P(Image, OfAConnectionThatIsThereChangesNothing) {
  establish(protocol());
  const auto before = counts();
  EXPECT_EQ(put(walk()), SLUICE_PUT_EXISTS);
  EXPECT_EQ(put(walk(), Counted::already), SLUICE_PUT_EXISTS);
  EXPECT_EQ(counts(), before);
  expect_forwarded_both_ways();
}

TEST_P(Image, NeverTakesAnothersSourcePort) {
  establish(protocol());
  auto images = walk();
  ASSERT_EQ(images.size(), 1U);
  const auto before = counts();
  images.front().client_port = htons(41000);  // another client, the same port toward the member
  EXPECT_EQ(put(images), SLUICE_PUT_PORT_TAKEN);
  EXPECT_EQ(counts(), before);
  EXPECT_EQ(walk().size(), 1U);
  expect_forwarded_both_ways();
}

TEST_P(Image, OfTheSameTablesIsNotCountedAgain) {
  establish(protocol());
  const auto before = counts();
  auto images = walk();
  clear_tables();
  images.front().listener_id = {};  // its listener may be gone
  ASSERT_EQ(put(images, Counted::already), SLUICE_PUT_DONE);
  EXPECT_EQ(counts(), before);
  expect_forwarded_both_ways();
}

TEST_P(Image, EndsOnceAndIsCountedOnce) {
  if (protocol() == L4::udp) GTEST_SKIP() << "UDP sessions don't end";
  establish(protocol());
  const auto images = walk();
  forget_flows();
  ASSERT_EQ(put(images), SLUICE_PUT_DONE);
  const auto before = counts();
  receive(from_client(protocol(), RST | ACK));
  EXPECT_EQ(counts().ended, before.ended + 1);
  EXPECT_EQ(counts().active, 0U);
  // The end is in the image, too, and no longer counted when that is put.
  const auto closed = walk();
  ASSERT_EQ(closed.size(), 1U);
  forget_flows();
  const auto after = counts();
  ASSERT_EQ(put(closed), SLUICE_PUT_DONE);
  EXPECT_EQ(counts(), after);
}

TEST_P(Image, IsRefusedWithoutItsListenerOrMember) {
  establish(protocol());
  const auto images = walk();
  forget_flows();
  auto other = images;
  other.front().listener_id.bytes[7] ^= 1;
  EXPECT_EQ(put(other), SLUICE_PUT_NO_LISTENER);
  other = images;
  other.front().member_index = member_index(2, protocol());
  EXPECT_EQ(put(other), SLUICE_PUT_NO_MEMBER);
  EXPECT_TRUE(walk().empty());
  EXPECT_EQ(counts().active, 0U);
  // By their ids another node finds the indices that they have there.
  other.front().listener_index = 4000;
  const auto indices = dataplane::ImageIndices::read(program());
  ASSERT_TRUE(indices) << indices.error().text();
  ASSERT_TRUE(indices->set(other.front()));
  EXPECT_EQ(other.front().listener_index, listener_index);
  EXPECT_EQ(put(other), SLUICE_PUT_DONE);
  other.front().member_id.bytes[3] ^= 1;
  EXPECT_FALSE(indices->set(other.front()));
}

TEST_P(Image, IsRefusedWhenItIsDamaged) {
  establish(protocol());
  const auto images = walk();
  forget_flows();
  const auto with = [&](auto change) {
    auto damaged = images;
    change(damaged.front());
    for (const auto counted : {Counted::already, Counted::not_yet})
      EXPECT_EQ(put(damaged, counted), SLUICE_PUT_UNFIT);
  };
  with([](auto& r) { r.protocol = 0; });
  with([](auto& r) { r.protocol = 4; });
  with([](auto& r) { r.phase = 16; });
  with([](auto& r) { r.listener_index = SLUICE_MAX_LISTENERS; });
  with([](auto& r) { r.member_index = SLUICE_MAX_MEMBERS; });
  with([](auto& r) { r.flags = SLUICE_IMAGE_DIRECT; });
  with([](auto& r) { r.flags = SLUICE_IMAGE_KEEPS_CLIENT; });
  with([](auto& r) { r.member = r.vip; });
  // An IPv6 slot has no room for a source that is neither the client's nor the VIP's.
  if (family() == 6) with([](auto& r) { r.source.ipv6[15] ^= 1; });
  EXPECT_TRUE(walk().empty());
}

TEST_P(Image, KeepsHowLongBothEndsHaveBeenSilent) {
  establish(protocol());
  make_all_older(100);
  const auto images = walk();
  ASSERT_EQ(images.size(), 1U);
  EXPECT_GE(images.front().client_idle, 88);
  EXPECT_LE(images.front().client_idle, 117);
  forget_flows();
  ASSERT_EQ(put(images), SLUICE_PUT_DONE);
  const auto again = walk();
  ASSERT_EQ(again.size(), 1U);
  // A tick may have begun in between.
  EXPECT_NEAR(again.front().client_idle, images.front().client_idle, 9);
  EXPECT_NEAR(again.front().member_idle, images.front().member_idle, 9);
}

class ImageTable : public ImageTest, public ::testing::WithParamInterface<int> {
 protected:
  int family() const override { return GetParam(); }

  // Images of so many clients that differ in address and port.
  Images clients(std::uint32_t first, std::uint32_t count) {
    establish();
    const auto one = walk().front();
    forget_flows();
    Images images(count, one);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto number = htonl(first + i);
      std::memcpy(images[i].client.ipv6 + (family() == 4 ? 0 : 12), &number, sizeof number);
      images[i].source_port = htons(static_cast<std::uint16_t>(1024 + (first + i) % 60000));
    }
    return images;
  }
  std::set<std::vector<std::uint8_t>> clients_in(const Images& images) {
    std::set<std::vector<std::uint8_t>> found;
    for (const auto& image : images)
      found.emplace(image.client.ipv6, image.client.ipv6 + sizeof image.client.ipv6);
    return found;
  }
  sluice_flow_rehome rehome(std::uint32_t shift, std::uint32_t buckets = 1U << 20,
                            std::uint32_t hold = SLUICE_AREA_LEAVE) {
    sluice_flow_rehome request{};
    request.family = family_number();
    request.shift = shift;
    request.hold = hold;
    request.buckets = buckets;
    return World::rehome(request);
  }
  sluice_flow_batch run(bool walks) {
    sluice_flow_batch batch{};
    batch.version = SLUICE_FLOW_IMAGE_VERSION;
    batch.family = family_number();
    const auto ran = walks ? kernel::walk_flows(program().walk_fd(), batch)
                           : kernel::put_flows(program().put_fd(), batch);
    EXPECT_TRUE(ran) << ran.error().text();
    return batch;
  }
};
FOR_BOTH_FAMILIES(ImageTable);

TEST_P(ImageTable, ManyBatchesAreWalkedAndPut) {
  const auto images = clients(0x0b000000, 2000);
  EXPECT_EQ(put(images), SLUICE_PUT_DONE);
  const auto found = walk();
  EXPECT_EQ(found.size(), images.size());
  EXPECT_EQ(clients_in(found), clients_in(images));
  EXPECT_EQ(counts().active, 2000U);
  // Into an area that is too small for them: it grows at once.
  forget_flows();
  rehome(SLUICE_AREA_SHIFT_OF(SLUICE_SMALLEST_AREA_BITS));
  auto again = found;
  ASSERT_TRUE(dataplane::put_images(program().put_fd(), again, Counted::already));
  const auto put_now = std::count_if(again.begin(), again.end(), [](const auto& image) {
    return image.result == SLUICE_PUT_DONE;
  });
  // One whose home in the whole table is among the crowded ones may have to wait for the others.
  EXPECT_GE(put_now, 1980);
  EXPECT_EQ(clients_in(walk()).size(), static_cast<std::size_t>(put_now));
}

// What a build with another layout of the tables would do with the pinned flow_walk and its own
// flow_put: here only the size differs.
TEST_P(ImageTable, AreCarriedToOtherTablesOverTheSameMaps) {
  ASSERT_EQ(put(clients(0x0b000000, 500)), SLUICE_PUT_DONE);
  const auto before = counts();
  auto images = walk();
  ASSERT_EQ(images.size(), 500U);
  const auto tables = kernel::Program::with_new_tables(program(), 1U << 13);
  ASSERT_TRUE(tables) << tables.error().text();
  const auto other = kernel::Program::load_over(*tables);
  ASSERT_TRUE(other) << other.error().text();
  ASSERT_TRUE(dataplane::put_images(other->put_fd(), images, Counted::already));
  Images carried;
  const auto keep = [&](auto batch) {
    carried.insert(carried.end(), batch.begin(), batch.end());
    return true;
  };
  ASSERT_TRUE(dataplane::walk_images(other->walk_fd(), family_number(), keep));
  // All but the time since the last packet, which goes on.
  const auto identities = [](Images all) {
    std::multiset<std::string> found;
    for (auto& image : all) {
      image.client_idle = image.member_idle = 0;
      found.emplace(reinterpret_cast<const char*>(&image), sizeof image);
    }
    return found;
  };
  EXPECT_EQ(identities(carried), identities(images));
  EXPECT_EQ(counts(), before);
}

TEST_P(ImageTable, AWalkBeginsAnewWhenFlowsMoveToBucketsThatItHasPassed) {
  const auto images = clients(0x0b000000, 300);
  EXPECT_EQ(put(images), SLUICE_PUT_DONE);
  constexpr std::uint32_t smallest = SLUICE_AREA_SHIFT_OF(SLUICE_SMALLEST_AREA_BITS);
  Images found;
  bool changed = false;
  const auto keep = [&](auto batch) {
    found.insert(found.end(), batch.begin(), batch.end());
    if (!std::exchange(changed, true)) {
      EXPECT_EQ(rehome(smallest).left, 0U);
    }
    return true;
  };
  ASSERT_TRUE(dataplane::walk_images(program().walk_fd(), family_number(), keep));
  EXPECT_GT(found.size(), images.size()) << "those of the first batch came again";
  EXPECT_EQ(clients_in(found), clients_in(images));
  // In the middle of such a change it doesn't begin.
  rehome(0);
  rehome(smallest, 1);
  EXPECT_EQ(run(true).status, SLUICE_BATCH_BEGIN_ANEW);
  // The other way round flows move to buckets that it still has before it.
  rehome(smallest);
  rehome(0, 1);
  EXPECT_EQ(run(true).status, SLUICE_BATCH_DONE);
}

TEST_P(ImageTable, NothingIsReadOrPutWhileFlowsAreLeavingTheTables) {
  EXPECT_EQ(run(false).status, SLUICE_BATCH_DONE);
  rehome(0, 1U << 20, SLUICE_AREA_HOLD);  // as a resize begins
  EXPECT_EQ(run(false).status, SLUICE_BATCH_BUSY);
  EXPECT_EQ(run(true).status, SLUICE_BATCH_BUSY);
  rehome(0, 1, SLUICE_AREA_RELEASE);
  EXPECT_EQ(run(true).status, SLUICE_BATCH_DONE);
  // And nothing is moved while somebody reads or puts.
  const std::uint32_t which = family() == 4 ? 0 : 1;
  std::uint64_t word = 0;
  ASSERT_EQ(bpf_map_lookup_elem(map("flow_areas"), &which, &word), 0);
  word |= SLUICE_AREA_STILL;
  ASSERT_EQ(bpf_map_update_elem(map("flow_areas"), &which, &word, BPF_ANY), 0);
  EXPECT_EQ(rehome(0, 1, SLUICE_AREA_HOLD).refused, 1U);
  EXPECT_EQ(run(false).status, SLUICE_BATCH_BUSY);
}

TEST_P(ImageTable, AnotherVersionIsRefused) {
  auto images = clients(0x0b000000, 1);
  sluice_flow_batch batch{};
  batch.version = SLUICE_FLOW_IMAGE_VERSION + 1;
  batch.family = family_number();
  batch.count = 1;
  batch.images[0] = images[0];
  ASSERT_TRUE(kernel::put_flows(program().put_fd(), batch));
  EXPECT_EQ(batch.status, SLUICE_BATCH_VERSION);
  EXPECT_TRUE(walk().empty());
}

// One CPU puts and flushes connections of its own all the time, the other one walks.
TEST_P(ImageTable, AWalkFindsWhatStaysWhileOthersComeAndGo) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "needs two CPUs";
  const auto stay = clients(0x0b000000, 500), come = clients(0x0c000000, 300);
  const auto before = counts();
  EXPECT_EQ(put(stay), SLUICE_PUT_DONE);
  const auto wanted = clients_in(stay), others = clients_in(come);
  std::atomic<bool> over = false;
  std::atomic<int> rounds = 0;
  std::thread other([&] {
    for (; !over; ++rounds) {
      auto batch = come;
      ASSERT_TRUE(dataplane::put_images(program().put_fd(), batch, Counted::not_yet));
      flush_clients(0x0c);
    }
  });
  int walks = 0;
  for (; walks < 300 || (rounds < 20 && walks < 100'000); ++walks) {
    std::set<std::vector<std::uint8_t>> found;
    for (const auto& image : walk()) {
      std::vector<std::uint8_t> key(image.client.ipv6, image.client.ipv6 + 16);
      // Its source port says whose the rest is.
      const auto number = ntohl(family() == 4 ? image.client.words[0] : image.client.words[3]);
      ASSERT_EQ(ntohs(image.source_port), 1024 + number % 60000) << "two flows in one image";
      ASSERT_TRUE(wanted.count(key) || others.count(key));
      found.insert(std::move(key));
    }
    for (const auto& key : wanted) ASSERT_TRUE(found.count(key)) << "missed in walk " << walks;
    if (HasFatalFailure()) break;
  }
  over = true;
  other.join();
  EXPECT_GT(rounds, 2);
  flush_clients(0x0b);
  flush_clients(0x0c);
  EXPECT_EQ(counts().active, 0U);
  EXPECT_EQ(counts().confirmed, 0U);
  EXPECT_EQ(counts().opened - before.opened, counts().ended - before.ended);
}

}  // namespace
}  // namespace sluice::test
