// BpfDataPlane: control::DataPlane over the BPF maps.
//
// The maps are the only state: ids are stored in the entries, so a restarted daemon finds every
// object's index again. It is not thread-safe, and each set of maps has one writer; inspections run
// on the slow lane.
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

class SlowLane;

class BpfDataPlane : public control::DataPlane {
 public:
  // Adopts the maps that are pinned under `pin_directory`, or loads the program and pins everything
  // if there are none. Only the latter uses `flow_capacity` (connections). Inspections run on
  // `lane`, which must outlive the data plane; without a lane they run within the call.
  static Result<std::unique_ptr<BpfDataPlane>> open(const std::filesystem::path& pin_directory,
                                                    std::uint32_t flow_capacity,
                                                    SlowLane* lane = nullptr);
  // Uses a program that need not be pinned (tests).
  static Result<std::unique_ptr<BpfDataPlane>> over(kernel::Program program);

  virtual const kernel::Program& program() const = 0;

  // A next hop whose MAC the data plane needs.
  struct ResolveRequest {
    std::uint32_t interface_index = 0;
    IpAddress address;
  };
  // A member at which new connections fail.
  struct Suspicion {
    Uuid member{};
    bool many = false;  // within a second
    std::string what;   // "refused", "not answered"
  };
  // Notices of the data plane.
  struct Notices {
    std::vector<ResolveRequest> requests;
    std::vector<Suspicion> suspicions;
  };
  // Readable (poll) when there are notices; then call take_notices.
  virtual int notices_fd() const = 0;
  virtual Result<Notices> take_notices() = 0;

  // Updates the NICs' MACs in the interface map; returns the names of those that changed. Must be
  // called at start and on every link event.
  virtual Result<std::vector<std::string>> refresh_interface_macs() = 0;
  // Takes all VLAN interfaces of this network namespace: frames to next hops behind those on
  // attached NICs get their tags. Returns the indices of those for which there is no place
  // (interface_slots.hpp).
  virtual Result<std::vector<std::uint32_t>> set_vlans(
      const std::vector<attachment::InterfaceSlots::Vlan>& vlans) = 0;
  // Sets the key by which SOURCE_IP, SOURCE_IP_PORT and MAGLEV choose members.
  virtual Result<void> set_hash_key(const sluice_hash_key& key) = 0;
  // The networks, at most one of each IP version, over which the outer sources of ipip tunnels are
  // spread. Without one they are the host's own address.
  virtual Result<void> set_tunnel_sources(const std::vector<IpNetwork>& networks) = 0;
  // Has one of so many connections of every listener recorded, but for those listeners that say
  // otherwise; 0: none. A program that is older than records has none anyway.
  virtual Result<void> record_one_of(std::uint32_t connections) = 0;
};

}  // namespace sluice::dataplane
