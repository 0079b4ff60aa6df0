// Peers: the nodes that tell each other of their connections, as the API shows them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice::control {

struct PeerState {
  std::string address;  // "10.0.0.2:9877"
  std::string name;     // as it calls itself; empty: nothing was heard of it yet
  // What is the matter between the two:
  //   CONNECTING       it has not answered yet
  //   SILENT           it has answered, but not for a second
  //   RESYNCHRONISING  one of them does not have all connections of the other yet
  //   FOLLOWING        each has the other's
  std::string state;
  std::uint64_t behind = 0;  // records that it has not acknowledged yet
  std::uint64_t sent = 0;    // records
  std::uint64_t sent_datagrams = 0;
  std::uint64_t repaired = 0;  // datagrams that it asked for again
  std::uint64_t unsent = 0;    // datagrams that the socket did not take
  std::uint64_t received = 0;  // records
  std::uint64_t received_datagrams = 0;
  std::uint64_t missing = 0;             // batches of it that were sent, but have not come yet
  std::uint64_t replicas = 0;            // its connections that are in this node's tables
  std::uint64_t resynchronisations = 0;  // how often it was told everything
  std::map<std::string, std::uint64_t> refused_datagrams, refused_records;  // by reason
};

struct PeersState {
  std::uint64_t lost = 0;       // changes for which the data plane found no room
  std::uint64_t strangers = 0;  // datagrams of addresses that are no peer's
  std::vector<PeerState> peers;
};

class Peers {
 public:
  virtual ~Peers() = default;
  virtual PeersState state() const = 0;
};

}  // namespace sluice::control
