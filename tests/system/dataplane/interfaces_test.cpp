// BpfDataPlane on attached NICs, in a network namespace that ends with the test process.
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>

#include "attachment/attachment.hpp"
#include "attachment/interface_slots.hpp"
#include "dataplane/bpf_data_plane.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/program.hpp"
#include "maps/listener.h"
#include "maps/versions.h"

namespace sluice::dataplane {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class InterfacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to make a network namespace";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(std::system("ip link add nic0 address 02:00:00:00:00:01 type veth peer name peer0 &&"
                          "ip link set nic0 up"),
              0);
    pins = "/sys/fs/bpf/sluice-test-" + std::to_string(getpid());
    // Removes the pins when this process has ended, also if it was killed.
    remover = popen(("setsid -f sh -c 'cat > /dev/null; rm -rf " + pins + "'").c_str(), "we");
    ASSERT_NE(remover, nullptr);
    const auto attached =
        attachment::attach({.pin_directory = pins, .interfaces = {"nic0"}, .flows = 64});
    ASSERT_TRUE(attached) << attached.error().text();
    auto opened = BpfDataPlane::open(pins, 64);
    ASSERT_TRUE(opened) << opened.error().text();
    plane = std::move(*opened);
  }
  void TearDown() override {
    if (!pins.empty()) (void)attachment::detach_all(pins);
    if (remover != nullptr) pclose(remover);
  }

  // Inspects within the call, because there is no slow lane.
  template <typename Look>
  auto looked_on(const Look& look) {
    std::optional<decltype(look(std::declval<control::Inspection&>()))> found;
    EXPECT_TRUE(plane->inspect(
        [&](control::Inspection& inspection) -> std::function<void()> {
          found.emplace(look(inspection));
          return {};
        },
        {}));
    return std::move(*found);
  }

  std::string pins;
  FILE* remover = nullptr;
  std::unique_ptr<BpfDataPlane> plane;
};

TEST_F(InterfacesTest, AttachedNicsAreListedUntilTheyAreDetached) {
  const auto attached = plane->interfaces();
  ASSERT_TRUE(attached) << attached.error().text();
  ASSERT_EQ(attached->size(), 1U);
  EXPECT_EQ(attached->front().name, "nic0");
  ASSERT_TRUE(attachment::detach(pins, {"nic0"}));
  EXPECT_THAT(*plane->interfaces(), IsEmpty());
}

TEST_F(InterfacesTest, ANewMacReachesTheMapOnce) {
  EXPECT_THAT(*plane->refresh_interface_macs(), IsEmpty());
  ASSERT_EQ(std::system("ip link set nic0 address 02:00:00:00:00:77"), 0);
  EXPECT_THAT(*plane->refresh_interface_macs(), ElementsAre("nic0"));
  EXPECT_THAT(*plane->refresh_interface_macs(), IsEmpty());
  const auto slots = attachment::InterfaceSlots(plane->program()).all();
  ASSERT_TRUE(slots);
  ASSERT_EQ(slots->size(), 1U);
  EXPECT_THAT(attachment::mac_of(slots->front()), ElementsAre(2, 0, 0, 0, 0, 0x77));
}

// The filter decides which code of the program is alive, so each filter is another program to the
// verifier.
TEST_F(InterfacesTest, TheVerifierTakesEveryKindOfCaptureFilter) {
  using control::CaptureFilter;
  for (const char* network : {"10.0.0.0/24", "10.0.0.4/32", "2001:db8::/32"}) {
    for (const std::uint16_t port : {0, 80}) {
      for (const std::uint32_t every : {1U, 10U}) {
        for (const std::uint16_t bytes : {std::uint16_t{64}, control::longest_captured_frame}) {
          const CaptureFilter filter{*parse_ip_network(network), port, {"drop"}, every, bytes};
          const auto started =
              looked_on([&](auto& inspection) { return inspection.start_capture(filter); });
          ASSERT_TRUE(started) << network << ": " << started.error().text();
          const auto taken =
              looked_on([&](auto& inspection) { return inspection.take_captured(*started, 10); });
          EXPECT_TRUE(taken) << taken.error().text();
          ASSERT_TRUE(
              looked_on([&](auto& inspection) { return inspection.stop_capture(*started); }));
        }
      }
    }
  }
}

TEST_F(InterfacesTest, SweepingGoesOnWithTheProgramOfAnUpgrade) {
  ASSERT_TRUE(attachment::upgrade(pins));
  const auto swept = looked_on([](auto& inspection) { return inspection.expire_flows(); });
  EXPECT_TRUE(swept) << swept.error().text();
}

// A downgrade leaves the pins of maps that it doesn't know, and what ends meanwhile stays counted
// in them: here in a map that the pinned program does not use. What it does use is right.
TEST_F(InterfacesTest, AnUpgradeForgetsWhatAnOlderVersionLeftCounted) {
  const std::uint32_t index = 3, connections = 7;
  const UniqueFd stale(bpf_map_create(BPF_MAP_TYPE_ARRAY, "stale", sizeof index, sizeof connections,
                                      SLUICE_MAX_LISTENERS, nullptr));
  const int used = plane->program().map_fd("member_confirmed");
  for (const int map : {stale.get(), used})
    ASSERT_EQ(bpf_map_update_elem(map, &index, &connections, BPF_EXIST), 0);
  const auto pin = pins + "/maps/listener_confirmed";
  ASSERT_EQ(unlink(pin.c_str()), 0);
  ASSERT_EQ(bpf_obj_pin(stale.get(), pin.c_str()), 0);

  const auto upgraded = attachment::upgrade(pins);
  ASSERT_TRUE(upgraded) << upgraded.error().text();
  const auto counted = [&](int map) {
    std::uint32_t count = ~0U;
    EXPECT_EQ(bpf_map_lookup_elem(map, &index, &count), 0);
    return count;
  };
  EXPECT_EQ(counted(stale.get()), 0U);
  EXPECT_EQ(counted(used), connections);
}

// Pins an empty map of this capacity in the place of the present one.
void make_smaller(const kernel::Program& program, const std::string& pins, const char* name,
                  std::uint32_t capacity) {
  const auto info = kernel::map_info(program.map_fd(name));
  ASSERT_TRUE(info) << info.error().text();
  const auto& layout = info->layout;
  LIBBPF_OPTS(bpf_map_create_opts, of_ring, .map_flags = BPF_F_INNER_MAP);
  const UniqueFd ring(bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 4, 1, &of_ring));
  const bool has_rings = layout.type == BPF_MAP_TYPE_ARRAY_OF_MAPS;
  LIBBPF_OPTS(bpf_map_create_opts, options,
              .inner_map_fd = has_rings ? static_cast<__u32>(ring.get()) : 0,
              .map_flags = layout.flags);
  const UniqueFd smaller(bpf_map_create(static_cast<bpf_map_type>(layout.type), "smaller",
                                        layout.key_size, layout.value_size, capacity, &options));
  ASSERT_TRUE(smaller) << name << ": " << std::strerror(errno);
  const auto pin = pins + "/maps/" + name;
  ASSERT_EQ(unlink(pin.c_str()), 0);
  ASSERT_EQ(bpf_obj_pin(smaller.get(), pin.c_str()), 0);
}

// The program runs over the maps of a data plane that version 0.2.0 has attached, and the
// controller goes by the room that it finds there.
TEST_F(InterfacesTest, AnUpgradeKeepsTheSmallerMapsOfAnEarlierVersion) {
#define MAKE_SMALLER(name, capacity) make_smaller(plane->program(), pins, #name, capacity);
  SLUICE_EARLIER_CAPACITIES(MAKE_SMALLER)
#undef MAKE_SMALLER
  ASSERT_FALSE(HasFailure());
  const auto upgraded = attachment::upgrade(pins);
  ASSERT_TRUE(upgraded) << upgraded.error().text();
  auto opened = BpfDataPlane::open(pins, 64);
  ASSERT_TRUE(opened) << opened.error().text();
  plane = std::move(*opened);
  const auto room = plane->supported().room;
  EXPECT_EQ(std::tuple(room.vips, room.listeners, room.listener_entries, room.pools),
            std::tuple(4096U, 4096U, 16384U, 4096U));
  EXPECT_EQ(room.listeners_of(new_uuid()), 4096U);
  control::DataPlaneState expected;
  for (std::uint8_t number = 1; number <= 20; ++number) {
    const auto load_balancer = new_uuid(), member = new_uuid(), pool = new_uuid();
    const auto address = IpAddress(boost::asio::ip::address_v4({10, 0, 1, number}));
    const control::ListenerKey key{address, 80, model::Protocol::tcp};
    auto& of_member = expected.members[member] = {address, 8080, true};
    of_member.load_balancer = load_balancer;
    expected.pools[pool].ring = {member};
    auto& entry = expected.listeners[key] = {new_uuid(), pool, address};
    entry.load_balancer = load_balancer;
    expected.vips[address] = {load_balancer};
    for (const control::Operation& operation : {
             control::Operation(control::PutMember{member, of_member}),
             control::Operation(control::PutPool{pool, expected.pools[pool]}),
             control::Operation(control::PutListener{key, entry}),
             control::Operation(control::PutVip{address, {load_balancer}}),
         }) {
      const auto done = plane->apply(operation);
      ASSERT_TRUE(done) << done.error().text();
    }
  }
  EXPECT_EQ(*plane->read(), expected);
  plane = std::move(*BpfDataPlane::open(pins, 64));
  EXPECT_EQ(*plane->read(), expected);
}

// Any other capacity is that of a stranger's map.
TEST_F(InterfacesTest, AnUpgradeRefusesAMapOfAnotherCapacity) {
  make_smaller(plane->program(), pins, "vips4", 4095);
  const auto upgraded = attachment::upgrade(pins);
  ASSERT_FALSE(upgraded);
  EXPECT_EQ(upgraded.error().message,
            "the pinned map vips4 does not fit: its capacity is 4095, this build expects 32768");
}

}  // namespace
}  // namespace sluice::dataplane
