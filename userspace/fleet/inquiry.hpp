// Inquiry: asks the other nodes what they count, when somebody wants to know.
//
// A node asks by a key of its own, and each other one answers by a key for the one that asks; all
// of them have the leases of their nodes. So counters cost nothing while nobody asks, and a
// question costs a write for each node. The API of another node is not asked, because nodes don't
// know where it is, and have no credentials for it. No I/O.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/uuid.hpp"
#include "control/fleet.hpp"
#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"

namespace sluice::fleet {

struct Question {
  std::uint64_t number = 0;  // others with each question of a node
  std::set<Uuid> listeners;
  bool connections = false;  // the sum of all connections, too

  std::string text() const;
  static std::optional<Question> parse(const std::string& text);
  bool operator==(const Question&) const = default;
};

struct CountsAnswer {
  std::uint64_t number = 0;  // of the question
  control::NodeCounts counts;

  std::string text() const;
  static std::optional<CountsAnswer> parse(const std::string& text);
  bool operator==(const CountsAnswer&) const = default;
};

class Inquiry {
 public:
  struct Ways {
    // Writes a key of this node, under its lease.
    std::function<void(const std::string& key, std::string value)> write;
    // The names of the other live nodes.
    std::function<std::set<std::string>()> others;
    // What this node counts.
    std::function<control::NodeCounts(const Question&)> count;
    std::function<void(std::chrono::milliseconds, std::function<void()>)> after;
  };

  // `first_number`: another one at each start of the node, so that an answer to an earlier run's
  // question is none to this one's.
  Inquiry(Keys keys, std::string node, std::uint64_t first_number, Ways ways)
      : keys_(std::move(keys)),
        node_(std::move(node)),
        number_(first_number),
        ways_(std::move(ways)) {}
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

  // Gives `done` what the other live nodes count, after `patience` at the latest. A node that has
  // not answered by then is told as missing; if it has ever counted a listener, that number stands.
  static constexpr auto patience = std::chrono::milliseconds(1000);
  using Done = std::function<void(control::FleetCounts)>;
  void ask(std::set<Uuid> listeners, bool connections, Done done);

  void reset(const std::vector<KeyValue>& all);
  void follow(const std::vector<Change>& changes);

 private:
  struct Waiting {
    std::set<Uuid> listeners;
    bool connections;
    Done done;
  };
  // So many listeners of a node are remembered, for when it doesn't answer.
  static constexpr std::size_t most_remembered = 20'000;

  void put_question();
  void conclude();
  void take(const KeyValue& entry);
  bool is_answered() const;

  Keys keys_;
  std::string node_;
  std::uint64_t number_;
  Ways ways_;
  std::vector<Waiting> asking_, next_;
  std::map<std::string, std::uint64_t> answered_;       // by node: the last question
  std::map<std::string, control::NodeCounts> counted_;  // by node: all that it has ever told
  std::map<std::string, std::uint64_t> told_;  // by node: its last question that was answered
};

}  // namespace sluice::fleet
