// Keys: the names of a fleet's keys in etcd. They are read by other versions and may not change.
//
//   PREFIXv1/generation          {"store": UUID, "generation": N, "request": UUID, "node": NAME}
//   PREFIXv1/commits/NODE        the id of the node's last request that was committed
//   PREFIXv1/objects/KIND/UUID   an object (store/object_json.hpp), with "generation": N
//   PREFIXv1/quotas, PREFIXv1/drained_nodes
//   PREFIXv1/nodes/NODE          a live node (roster.hpp), under a lease
//   PREFIXv1/known_nodes/NODE    its name; it stays when the node dies, until it is removed
//   PREFIXv1/health/NODE         which members it finds down (health_views.hpp), under its lease
//   PREFIXv1/features/NODE       the attributes and words that its version knows (features.hpp),
//                                under its lease
//   PREFIXv1/questions/NODE, PREFIXv1/answers/NODE/OTHER
//                                what it has asked the others, and what OTHER answers it
//                                (inquiry.hpp), under the writer's lease
//   PREFIXv1/snat_addresses/ADDRESS
//                                {"node": NAME}: whose SNAT address it is (snat_claims.hpp); it
//                                stays when the node dies, until the node is removed
//   PREFIXv1/active/GROUP        the node that answers for the VIPs of a link (standby_group.hpp),
//                                under a lease of its own
//   PREFIXv1/peer_keys           the secret of what nodes tell each other of connections, and the
//                                earlier one while it is exchanged (peer_keys.hpp)
#pragma once

#include <string>

#include "base/ip_address.hpp"

namespace sluice::fleet {

struct Keys {
  std::string prefix = "/sluice/";

  std::string all() const { return prefix + "v1/"; }
  std::string generation() const { return all() + "generation"; }
  std::string commit_of(const std::string& node) const { return all() + "commits/" + node; }
  std::string objects() const { return all() + "objects/"; }
  std::string quotas() const { return all() + "quotas"; }
  std::string drained_nodes() const { return all() + "drained_nodes"; }
  std::string nodes() const { return all() + "nodes/"; }
  std::string known_nodes() const { return all() + "known_nodes/"; }
  // Says whether the key is about nodes, and not a part of the desired state.
  bool is_of_nodes(const std::string& key) const {
    return key.starts_with(nodes()) || key.starts_with(known_nodes()) ||
           key.starts_with(health()) || key.starts_with(features()) ||
           key.starts_with(questions()) || key.starts_with(active()) ||
           key.starts_with(snat_addresses()) || key == peer_keys() ||
           key.starts_with(all() + "answers/");
  }
  std::string health() const { return all() + "health/"; }
  std::string features() const { return all() + "features/"; }
  std::string questions() const { return all() + "questions/"; }
  std::string question_of(const std::string& node) const { return questions() + node; }
  std::string answers_to(const std::string& node) const { return all() + "answers/" + node + "/"; }
  std::string answer_of(const std::string& asker, const std::string& node) const {
    return answers_to(asker) + node;
  }
  std::string snat_addresses() const { return all() + "snat_addresses/"; }
  std::string snat_address(const IpAddress& address) const {
    return snat_addresses() + address.to_string();
  }
  std::string active() const { return all() + "active/"; }
  std::string active_of(const std::string& group) const { return active() + group; }
  std::string peer_keys() const { return all() + "peer_keys"; }
  std::string rehearsal(std::size_t number) const {
    return all() + "rehearsal/" + std::to_string(number);
  }
};

}  // namespace sluice::fleet
