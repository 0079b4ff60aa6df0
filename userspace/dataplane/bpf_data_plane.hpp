// BpfDataPlane: control::DataPlane over the BPF maps.
//
// The maps are the only truth: ids are stored in the entries, so a restarted daemon finds every
// object's index again. Not thread-safe; one writer per set of maps.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "attachment/interface_slots.hpp"
#include "base/result.hpp"
#include "control/data_plane.hpp"
#include "kernel/pins.hpp"
#include "maps/hash_key.h"

namespace sluice::kernel {
class Program;
}

namespace sluice::dataplane {

class BpfDataPlane : public control::DataPlane {
 public:
  // Adopts the maps pinned under `pin_directory`, or loads the program and pins everything when
  // there are none. `flow_capacity` (connections) is used only in the latter case.
  static Result<std::unique_ptr<BpfDataPlane>> open(const std::filesystem::path& pin_directory,
                                                    std::uint32_t flow_capacity);
  // Over a program that need not be pinned (tests).
  static Result<std::unique_ptr<BpfDataPlane>> over(kernel::Program program);

  virtual const kernel::Program& program() const = 0;

  // It misses the MAC of a next hop.
  struct ResolveRequest {
    std::uint32_t interface_index = 0;
    IpAddress address;
  };
  // New connections to a member fail.
  struct Suspicion {
    Uuid member{};
    bool many = false;  // within a second
    std::string what;   // "refused", "not answered"
  };
  // What the data plane tells of its own accord.
  struct Notices {
    std::vector<ResolveRequest> requests;
    std::vector<Suspicion> suspicions;
  };
  // Readable (poll) when there are notices; then call take_notices.
  virtual int notices_fd() const = 0;
  virtual Result<Notices> take_notices() = 0;

  // Puts the NICs' present MACs into the interface map; returns the names of those that changed.
  // Call it at start and on every link event.
  virtual Result<std::vector<std::string>> refresh_interface_macs() = 0;
  // All VLAN interfaces of this network namespace: frames for next hops behind those on top of
  // attached NICs get their tags. Returns the indices of those for which there is no place
  // (interface_slots.hpp).
  virtual Result<std::vector<std::uint32_t>> set_vlans(
      const std::vector<attachment::InterfaceSlots::Vlan>& vlans) = 0;
  // What SOURCE_IP, SOURCE_IP_PORT and MAGLEV choose members with.
  virtual Result<void> set_hash_key(const sluice_hash_key& key) = 0;
};

}  // namespace sluice::dataplane
