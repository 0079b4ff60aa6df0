// StandbyGroup: which of some nodes on one link answers for the VIPs. One key in etcd decides: the
// node that has written it is active until its lease ends; the others are its standbys. No I/O.
//
// A node writes the key only where it is not there, which etcd compares, and renews its lease every
// second. When the key goes, the watch tells the standbys, and the first one that writes it is
// active; they also look every three seconds, in case the watch has told nothing.
//
// While etcd can't be reached nothing changes: who is active stays active, because etcd may be gone
// for all nodes. But it may also be only this node that is cut off, and another one active by now.
// So once its lease may have ended, an active node asks the link: if another machine answers for
// the VIPs, it becomes the standby.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"

namespace sluice::fleet {

class StandbyGroup {
 public:
  struct Settings {
    Keys keys;
    std::string group;
    std::string node, instance;  // two machines of one name are two
    bool was_active = false;     // an earlier process of this node has left its VIPs answered for
  };
  struct Callbacks {
    std::function<void(bool active)> changed = [](bool) {};
    // Says whether this node can serve, and should: one that is drained hands over, and takes
    // nothing over. Is asked every second.
    std::function<bool()> may_serve = [] { return true; };
    // Finds out whether another machine of the link answers for a VIP of ours.
    using Answered = std::function<void(bool)>;
    std::function<void(Answered)> ask_link = [](const Answered& answered) { answered(false); };
    // One line for the log.
    std::function<void(Tone, const std::string&)> event = [](Tone, const std::string&) {};
  };
  // How long a node may be silent before another one takes over.
  static constexpr auto life = std::chrono::seconds(5);

  StandbyGroup(Etcd& etcd, Settings settings);
  StandbyGroup(const StandbyGroup&) = delete;
  StandbyGroup& operator=(const StandbyGroup&) = delete;

  void start(Callbacks callbacks);
  // Takes what the watch tells of the group's key.
  void follow(const std::vector<Change>& changes);

  const std::string& name() const { return settings_.group; }
  bool is_active() const { return active_; }
  // The node that is active, as far as this one knows; empty: none.
  std::string active_node() const;

 private:
  void tick();
  void look();
  void looked(const Reading& reading);
  void renew();
  void claim();
  void write(std::int64_t lease);
  void written(std::int64_t lease, const TransactionReply& reply);
  void resign();
  template <typename T>
  bool is_answered(const Answer<T>& answer);
  void ask_link();
  void set_active(bool active);
  void take_holder(const std::string& value);

  Etcd& etcd_;
  Settings settings_;
  Callbacks callbacks_;
  const std::string key_, value_;  // the value that is this node's
  bool active_;
  bool may_serve_ = true;
  std::string holder_;           // the node that the key names; empty: it is not there
  std::int64_t lease_ = 0;       // of the key, which is this node's; 0: it is not
  std::int64_t written_at_ = 0;  // the revision at which it was written
  bool left_behind_ = false;     // the key is an earlier process's of this node
  bool is_busy_ = false;         // with a call to etcd
  bool is_asking_ = false;       // the link
  int silent_ticks_ = 0;         // since etcd has answered
  int until_look_ = 0;           // ticks
};

}  // namespace sluice::fleet
