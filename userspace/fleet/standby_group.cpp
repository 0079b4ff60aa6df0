#include "fleet/standby_group.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fleet/json_fields.hpp"

namespace sluice::fleet {
namespace {

namespace json = boost::json;

constexpr auto between_ticks = std::chrono::seconds(1);
constexpr int ticks_between_looks = 3;
constexpr int ticks_of_a_lease = StandbyGroup::life / between_ticks;

std::string node_in(const std::string& value) {
  const auto object = parse_object(value);
  return object ? text_at(*object, "node") : std::string();
}

}  // namespace

StandbyGroup::StandbyGroup(Etcd& etcd, Settings settings)
    : etcd_(etcd),
      settings_(std::move(settings)),
      key_(settings_.keys.active_of(settings_.group)),
      value_(json::serialize(
          json::object{{"node", settings_.node}, {"instance", settings_.instance}})),
      active_(settings_.was_active) {}

void StandbyGroup::start(Callbacks callbacks) {
  callbacks_ = std::move(callbacks);
  tick();
}

std::string StandbyGroup::active_node() const {
  return active_ ? settings_.node : holder_;
}

void StandbyGroup::tick() {
  etcd_.after(between_ticks, [this] { tick(); });
  may_serve_ = callbacks_.may_serve();
  if (++silent_ticks_ >= ticks_of_a_lease && active_) ask_link();
  if (is_busy_) return;
  if (lease_ != 0) return may_serve_ ? renew() : resign();
  if (until_look_-- > 0) return;
  look();
}

// Makes this node answer for the VIPs, or stop to.
void StandbyGroup::set_active(bool active) {
  if (active == active_) return;
  active_ = active;
  callbacks_.changed(active);
}

// The key is another node's, or an earlier process's of this one.
void StandbyGroup::take_holder(const std::string& value) {
  lease_ = 0;
  holder_ = node_in(value);
  left_behind_ = value == value_;
  if (!left_behind_) set_active(false);
}

// Says whether etcd has answered a call, which is over now.
template <typename T>
bool StandbyGroup::is_answered(const Answer<T>& answer) {
  is_busy_ = false;
  if (answer) silent_ticks_ = 0;
  return answer.has_value();
}

// The lease may have ended, without this node being told.
void StandbyGroup::ask_link() {
  if (std::exchange(is_asking_, true)) return;
  callbacks_.ask_link([this](bool another) {
    is_asking_ = false;
    if (!another || !active_ || silent_ticks_ < ticks_of_a_lease) return;
    lease_ = 0;
    holder_.clear();
    callbacks_.event(Tone::trouble,
                     "etcd can't be reached from here, and another node answers for the VIPs");
    set_active(false);
  });
}

void StandbyGroup::look() {
  is_busy_ = true;
  until_look_ = ticks_between_looks - 1;
  etcd_.read(key_, Etcd::Extent::key, [this](const Answer<Reading>& answer) {
    if (is_answered(answer)) return looked(*answer);
    until_look_ = 0;
  });
}

void StandbyGroup::looked(const Reading& reading) {
  if (reading.found.empty()) {
    holder_.clear();
    left_behind_ = false;
  } else {
    take_holder(reading.found.front().value);
  }
  if (!may_serve_ && left_behind_) return resign();
  if (!may_serve_) return set_active(false);
  if (reading.found.empty() || left_behind_) claim();
}

void StandbyGroup::renew() {
  is_busy_ = true;
  etcd_.renew(lease_, [this](const Answer<bool>& alive) {
    if (!is_answered(alive) || *alive) return;
    lease_ = written_at_ = 0;  // and the key is gone with it
    left_behind_ = false;
    claim();
  });
}

void StandbyGroup::claim() {
  if (is_busy_ || !may_serve_) return;
  is_busy_ = true;
  etcd_.grant(life, [this](const Answer<std::int64_t>& lease) {
    if (is_answered(lease)) write(*lease);
  });
}

// Writes the key where there is none, or over what an earlier process of this node has left.
void StandbyGroup::write(std::int64_t lease) {
  is_busy_ = true;
  etcd_.transact({.key = key_,
                  .expected = left_behind_ ? std::optional(value_) : std::nullopt,
                  .puts = {{key_, value_, lease}},
                  .removals = {},
                  .read_otherwise = {key_}},
                 [this, lease](const Answer<TransactionReply>& answer) {
                   // If it has happened all the same, a look finds the key left behind.
                   if (is_answered(answer)) written(lease, *answer);
                 });
}

void StandbyGroup::written(std::int64_t lease, const TransactionReply& reply) {
  if (reply.happened) {
    lease_ = lease;
    left_behind_ = false;
    holder_ = settings_.node;
    written_at_ = reply.header.revision;
    return set_active(true);
  }
  until_look_ = 0;  // the next tick tries again where that makes sense
  if (reply.read.empty()) {
    left_behind_ = false;
  } else {
    take_holder(reply.read.front().value);
  }
}

// Removes the key, so that a standby takes over at once.
void StandbyGroup::resign() {
  is_busy_ = true;
  etcd_.transact(
      {.key = key_, .expected = value_, .puts = {}, .removals = {key_}, .read_otherwise = {key_}},
      [this](const Answer<TransactionReply>& answer) {
        if (!is_answered(answer)) return;
        lease_ = 0;
        left_behind_ = false;
        holder_ = answer->read.empty() ? "" : node_in(answer->read.front().value);
        set_active(false);
        claim();
      });
}

void StandbyGroup::follow(const std::vector<Change>& changes) {
  for (const auto& [entry, removed] : changes) {
    if (entry.key != key_ || entry.modified <= written_at_) continue;
    if (!removed && (entry.value != value_ || lease_ == 0)) take_holder(entry.value);
    if (!removed) continue;
    lease_ = 0;
    left_behind_ = false;
    holder_.clear();
    until_look_ = 0;
    claim();
  }
}

}  // namespace sluice::fleet
