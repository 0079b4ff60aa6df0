// Replicas: the connections that the nodes of a fleet tell each other about. What this node's data
// plane has confirmed and seen end leaves it here, and what other nodes tell enters it.
//
// A replica is a connection whose packets go through another node. It takes its slots, counts
// against limits and in least connections, and is ready for a packet, which makes it this node's
// own. A connection of this node's own becomes a replica again when another node, which has seen
// its packets since, tells of it (maps/replica.h).
//
// Shapes are those of maps/flow_image.h. Not thread safe; but it has descriptors of its own, so it
// may be used on another thread than the rest, and goes on when the program is replaced.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "maps/flow_image.h"

namespace sluice::kernel {
class Program;
}

namespace sluice::dataplane {

enum class FlowEvent : std::uint8_t {
  // Confirmed now (dsr, ipip: the client has sent a second packet; UDP: the member has answered).
  // Also: taken over from another node, or its end that was announced has been refuted.
  begins = 1,
  ends = 2,
  refreshed = 3,  // has had packets since it was told last; comes once per half of its idle time
  // A replica whose node has rebooted or died: no node carries the connection, the teller keeps it.
  kept = 4,
};

struct FlowChange {
  FlowEvent event;
  sluice_flow_image image;  // ids are filled in; indices are this node's and mean nothing elsewhere
};

// Says whether the image, which comes from a walk, is of a replica.
inline bool is_replica(const sluice_flow_image& image) {
  return image.phase == SLUICE_IMAGE_REPLICA;
}

class Replicas {
 public:
  virtual ~Replicas() = default;
  // Turns telling on or off; off is the default and costs the data plane nothing. It stays on in
  // the maps when this object is gone.
  virtual Result<void> tell_changes(bool on) = 0;
  // Says whether it is on. Off, although this node has peers: the maps are new.
  virtual Result<bool> tells() = 0;
  // The changes since the last call, oldest first, at most about `limit` (0: none). Replicas' own
  // changes are not among them, nor connections of pools that hash and whose members answer
  // directly: any node finds their member without being told.
  virtual Result<std::vector<FlowChange>> take(std::size_t limit) = 0;
  // How many changes found no room in the ring since the program was loaded; grows -> a full
  // resynchronisation is due.
  virtual Result<std::uint64_t> lost() = 0;
  // Puts connections of another node, of either family mixed; listener and member are found by
  // their ids. Each image's `result` says what became of it (enum sluice_flow_put_result). One that
  // exists already and is a replica is refreshed (SLUICE_PUT_REFRESHED), one that has had packets
  // here lately stays as it is (SLUICE_PUT_EXISTS).
  virtual Result<void> put(std::span<sluice_flow_image> images) = 0;
  // Ends replicas that ended where they lived. An image may have only family, protocol and the
  // client's side (client, vip and their ports), and the rest zero. A connection that this node has
  // carried packets of in the last seconds stays, but not for long if it is silent.
  virtual Result<void> end(std::span<const sluice_flow_image> images) = 0;
  // Reads one more part of this node's confirmed connections and replicas into `images` (replacing
  // what is there; it may be empty although more follow), for a peer that joins; `cursor` starts at
  // 0 and is 0 again at the end.
  virtual Result<void> walk(std::uint64_t& cursor, std::vector<sluice_flow_image>& images) = 0;
  // After a change of routes or membership: packets from the middle of unknown connections are
  // dropped silently from now until this time has passed, never reset. 0 ends it.
  virtual Result<void> grace(std::chrono::milliseconds time) = 0;
};

// ErrorKind::unsupported: the program is older than replicas.
Result<std::unique_ptr<Replicas>> open_replicas(const kernel::Program& program);

}  // namespace sluice::dataplane
