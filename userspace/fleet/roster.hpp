// Roster: the live nodes of a fleet, each as it describes itself under its key. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ip_address.hpp"
#include "base/uuid.hpp"
#include "control/fleet.hpp"
#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"

namespace sluice::fleet {

// What a node writes under its key. Attributes may be added, and none may change its meaning.
struct NodeEntry {
  std::string name;
  std::string instance;  // of the machine: two with one name are a mistake
  std::string version;
  std::uint64_t applied = 0;           // the generation up to which its maps were read back
  std::map<Uuid, std::string> errors;  // by object: why its data plane refused it
  std::size_t errors_count = 0;        // also those that there was no room for
  control::Announcing announcing = {};
  std::string peer = {};  // where it hears of others' connections, "10.0.0.1:9877"; empty: nowhere
  bool spreads = false;   // it leaves members to other nodes that do so, too (spread.hpp)
  // It takes the place of nodes that are gone (succession.hpp). Older versions don't.
  bool succeeds = false;
  // The newest of the peers' keys that it has, and the one that it seals with (peer_keys.hpp).
  std::uint64_t peer_key = 0, peer_key_used = 0;

  std::string text() const;
  static std::optional<NodeEntry> parse(const std::string& text);
  bool operator==(const NodeEntry&) const = default;
};

// What a node writes under the key of its SNAT address, and whose the address is by what is there;
// empty: it can't be read.
std::string snat_claim_of(const std::string& node);
std::string claimant_in(const std::string& claim);

// A node tells of so many errors.
constexpr std::size_t most_errors = 50;

class Roster {
 public:
  explicit Roster(Keys keys) : keys_(std::move(keys)) {}

  // All keys as of a revision.
  void reset(std::int64_t revision, const std::vector<KeyValue>& all);
  void follow(const std::vector<Change>& changes);

  bool is_read() const { return revision_ != 0; }
  const std::map<std::string, NodeEntry>& nodes() const { return nodes_; }
  // The nodes by their SNAT addresses.
  const std::map<IpAddress, std::string>& snat_addresses() const { return snat_addresses_; }
  // The nodes that have been here, and are gone.
  std::vector<std::string> gone() const;
  // Whether all others have applied this generation.
  bool have_applied(std::uint64_t generation, const std::string& but) const;
  // "lb2: map is full"; empty: no other node has refused the object.
  std::string error_of(const Uuid& object, const std::string& but) const;

 private:
  std::optional<IpAddress> snat_address_in(const std::string& key) const;
  void take(const std::string& key, const std::string& value);
  void drop(const std::string& key);

  Keys keys_;
  std::int64_t revision_ = 0;  // of the last reading
  std::map<std::string, NodeEntry> nodes_;
  std::set<std::string> known_;
  std::map<IpAddress, std::string> snat_addresses_;
};

}  // namespace sluice::fleet
