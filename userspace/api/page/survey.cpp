#include "api/page/survey.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <cmath>
#include <iterator>

#include "api/language/fleet.hpp"
#include "base/tcp_address.hpp"
#include "model/names.hpp"
#include "model/status.hpp"
#include "model/vips.hpp"

namespace sluice::api {
namespace {

namespace json = boost::json;

constexpr std::size_t most_events = 200;  // in one text
constexpr std::int64_t suspected = 8;
constexpr std::size_t state_at = 0;

constexpr std::array states = {
    model::OperatingStatus::online,   model::OperatingStatus::offline,
    model::OperatingStatus::degraded, model::OperatingStatus::error,
    model::OperatingStatus::draining, model::OperatingStatus::no_monitor};

std::int64_t index_of(model::OperatingStatus status) {
  return std::ranges::find(states, status) - states.begin();
}

std::int64_t milliseconds(model::Timestamp time) {
  return std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch().count();
}

std::int64_t now_in_milliseconds() {
  return milliseconds(
      std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now()));
}

// Writes "name":"text", with what JSON wants escaped.
void write(std::string& out, std::string_view name, std::string_view text) {
  out += out.ends_with('{') ? "\"" : ",\"";
  out.append(name).append("\":").append(json::serialize(json::string(text)));
}

void write(std::string& out, std::string_view name, std::int64_t number) {
  fmt::format_to(std::back_inserter(out), "{}\"{}\":{}", out.ends_with('{') ? "" : ",", name,
                 number);
}

std::string socket_text(const IpAddress& address, std::uint16_t port) {
  return TcpAddress{address, port}.to_string();
}

std::string monitor_text(const model::HealthMonitor& monitor) {
  return fmt::format("{}{}{} every {} s, {} to rise, {} to fall", model::name(monitor.type),
                     model::asks_for_page(monitor.type) ? " " : "",
                     model::asks_for_page(monitor.type) ? monitor.url_path : "",
                     monitor.delay_seconds, monitor.max_retries, monitor.max_retries_down);
}

std::int64_t tenths(double rate) {
  return std::llround(rate * 10);
}

// Calls write_one(out, item) for each, with commas between.
template <typename Items, typename WriteOne>
void write_list(std::string& out, std::string_view name, const Items& items, WriteOne write_one) {
  out += out.ends_with('{') ? "\"" : ",\"";
  out.append(name).append("\":[");
  for (const auto& item : items) {
    const auto before = out.size();
    if (!out.ends_with('[')) out += ',';
    const auto begin = out.size();
    write_one(out, item);
    if (out.size() == begin) out.resize(before);
  }
  out += ']';
}

}  // namespace

// ---- reading ----

bool Survey::look() {
  readings_.note_changes();
  const bool other_rows = !looked_ || !(model_ == controller_.model());
  if (other_rows) {
    model_ = controller_.model();
    find_rows();
    looked_ = true;
  }
  count();
  judge();
  return provision() || other_rows;
}

int Survey::add(Kind kind, int parent, const Uuid& id) {
  rows_.push_back({kind, parent, id});
  return static_cast<int>(rows_.size()) - 1;
}

void Survey::add_pool(const model::Relations& relations, const Uuid& pool, int parent) {
  const auto at = add(Kind::pool, parent, pool);
  pool_rows_[pool] = at;
  for (const auto* member : relations.members_of(pool)) add(Kind::member, at, member->id);
}

// A pool stands below the first listener that has it, or at the end of its load balancer.
void Survey::find_rows() {
  rows_.clear();
  pool_rows_.clear();
  const model::Relations relations(model_);
  model_.load_balancers.walk(model::Facet::any, {}, [&](const model::LoadBalancer& balancer) {
    if (project_ && balancer.project_id != *project_) return true;
    const auto at = add(Kind::load_balancer, -1, balancer.id);
    for (const auto* listener : relations.listeners_of(balancer.id)) {
      const auto listener_at = add(Kind::listener, at, listener->id);
      const auto& pool = listener->default_pool_id;
      if (pool && !pool_rows_.contains(*pool)) add_pool(relations, *pool, listener_at);
    }
    for (const auto* pool : relations.pools_of(balancer.id)) {
      if (!pool_rows_.contains(pool->id)) add_pool(relations, pool->id, at);
    }
    return true;
  });
}

// Children follow their parents, so one walk sums them up.
void Survey::count() {
  for (auto& row : rows_) row.numbers = {};
  for (const auto& row : rows_) {
    const auto* track = row.kind == Kind::listener || row.kind == Kind::member
                            ? readings_.tracks().find(row.id)
                            : nullptr;
    if (!track) continue;
    const auto& [opened, unserved, bytes_in, bytes_out] = track->rates;
    const Numbers numbers = {0,
                             static_cast<std::int64_t>(track->counters.active_flows()),
                             tenths(opened),
                             std::llround(bytes_in),
                             std::llround(bytes_out),
                             tenths(unserved),
                             0,
                             0,
                             static_cast<std::int64_t>(track->counters.flows_opened)};
    auto& own = rows_[static_cast<std::size_t>(&row - rows_.data())].numbers;
    auto& sum = rows_[static_cast<std::size_t>(row.parent)].numbers;
    for (std::size_t i = 0; i < numbers.size(); ++i) sum[i] += (own[i] = numbers[i]);
    own[6] = static_cast<std::int64_t>(track->half_ns / 1000);
    own[7] = static_cast<std::int64_t>(track->most_ns / 1000);
  }
}

void Survey::judge() {
  const model::Relations relations(model_);
  const auto& health = fleet_ ? fleet_->health() : controller_.health();
  const auto full = controller_.full_listeners();
  const auto& suspects = controller_.suspects();
  for (auto& row : rows_) {
    auto& state = row.numbers[state_at];
    switch (row.kind) {
      case Kind::load_balancer:
        state = index_of(
            model::operating_status(relations, health, model_.load_balancers.at(row.id), full));
        break;
      case Kind::listener:
        state =
            index_of(model::operating_status(relations, health, model_.listeners.at(row.id), full));
        break;
      case Kind::pool:
        state = index_of(model::operating_status(relations, health, model_.pools.at(row.id)));
        break;
      case Kind::member:
        state = index_of(model::operating_status(relations, health, model_.members.at(row.id)));
        if (suspects.contains(row.id)) state += suspected;
        break;
    }
  }
}

// In a fleet provisioning status also follows from the other nodes. Returns whether it is another
// one.
bool Survey::provision() {
  bool is_other = false;
  const auto set = [&](Row& row, const model::Object& object) {
    auto now = provisioning(fleet_, object);
    is_other = is_other || row.provisioning != now.status || row.error != now.error;
    row.provisioning = now.status;
    row.error = std::move(now.error);
  };
  for (auto& row : rows_) {
    switch (row.kind) {
      case Kind::load_balancer:
        set(row, model_.load_balancers.at(row.id));
        break;
      case Kind::listener:
        set(row, model_.listeners.at(row.id));
        break;
      case Kind::pool:
        set(row, model_.pools.at(row.id));
        break;
      case Kind::member:
        set(row, model_.members.at(row.id));
        break;
    }
  }
  return is_other;
}

// ---- writing ----

void Survey::write_attributes(std::string& out, const model::LoadBalancer& object) const {
  write(out, "address", model::vips_text(object));
}

void Survey::write_attributes(std::string& out, const model::Listener& object) const {
  write(out, "protocol", model::name(object.protocol));
  write(out, "address",
        fmt::format("{} {}", object.protocol_port_range ? "ports" : "port",
                    model::ports_text(object)));
  if (object.connection_limit >= 0) write(out, "limit", object.connection_limit);
  if (object.new_connection_limit >= 0) write(out, "rate_limit", object.new_connection_limit);
  if (!object.default_pool_id) return;
  // A pool that stands elsewhere is named.
  const auto row = pool_rows_.find(*object.default_pool_id);
  if (row == pool_rows_.end()) return;
  const auto parent = rows_[static_cast<std::size_t>(row->second)].parent;
  if (rows_[static_cast<std::size_t>(parent)].id != object.id) write(out, "pool", row->second);
}

void Survey::write_attributes(std::string& out, const model::Pool& object) const {
  write(out, "algorithm", model::name(object.lb_algorithm));
  write(out, "mode", model::name(object.forwarding_mode));
  if (const auto* monitor = model::Relations(model_).monitor_of(object.id)) {
    write(out, "monitor", monitor_text(*monitor));
  }
}

void Survey::write_attributes(std::string& out, const model::Member& object) const {
  write(out, "address", socket_text(object.address, object.protocol_port));
  if (object.weight != 1) write(out, "weight", object.weight);
  if (object.backup) write(out, "backup", 1);
  if (object.drain_until) write(out, "drain_until", milliseconds(*object.drain_until));
  const auto* change = readings_.last_change(object.id);
  if (!change) return;
  write(out, "changed", milliseconds(change->time));
  write(out, "change", change->text);
}

void Survey::write_row(std::string& out, const Row& row) {
  const auto write_object = [&](std::string_view kind, const auto& object) {
    write(out, "kind", kind);
    write(out, "parent", row.parent);
    write(out, "id", to_string(object.id));
    write(out, "name", object.name);
    if (!object.admin_state_up) write(out, "disabled", 1);
    write(out, "provisioning", row.provisioning);
    if (!row.error.empty()) write(out, "error", row.error);
    write(out, "created", milliseconds(object.created_at));
    write_attributes(out, object);
  };
  out += '{';
  switch (row.kind) {
    case Kind::load_balancer:
      write_object("loadbalancer", model_.load_balancers.at(row.id));
      break;
    case Kind::listener:
      write_object("listener", model_.listeners.at(row.id));
      break;
    case Kind::pool:
      write_object("pool", model_.pools.at(row.id));
      break;
    case Kind::member:
      write_object("member", model_.members.at(row.id));
      break;
  }
  fmt::format_to(std::back_inserter(out), ",\"numbers\":[{}]}}", fmt::join(row.numbers, ","));
}

// Writes the last ten minutes of listeners and members: [index, [opened...], [bytes...]], without
// those of which there is nothing to tell. Pages add up the others.
void Survey::write_history(std::string& out) {
  const auto& tracks = readings_.tracks();
  const auto write_points = [&](const std::array<float, Track::points>& points, float unit) {
    out += ",[";
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto value = points[(tracks.oldest() + i) % points.size()];
      if (i != 0) out += ',';
      out.append(fmt::format_int(std::llround(value * unit)).c_str());
    }
    out += ']';
  };
  write_list(out, "history", rows_, [&](std::string&, const Row& row) {
    const auto* track = readings_.tracks().find(row.id);
    const auto any = [](float value) { return value > 0; };
    if (!track ||
        !(std::ranges::any_of(track->opened, any) || std::ranges::any_of(track->bytes, any))) {
      return;
    }
    out.append("[").append(fmt::format_int(&row - rows_.data()).c_str());
    write_points(track->opened, 10);
    write_points(track->bytes, 1);
    out += ']';
  });
}

// Events since `after`; unset: the newest ones. Where others called from is nothing for a project's
// members.
void Survey::write_events(std::string& out, std::optional<std::uint64_t> after) {
  const auto found = events_.find({.after = after, .limit = most_events, .project_id = project_});
  write_list(out, "events", found, [&](std::string& text, const Event* event) {
    auto told = render(*event);
    if (project_) told["peer"] = "";
    text += json::serialize(told);
  });
  const bool are_all = !after || found.size() < most_events;
  told_event_ = are_all ? events_.last() : found.back()->number;
}

// What is wrong with the node is its operators' business, but not that something is.
std::string Survey::problem() const {
  if (!project_ || readings_.problem().empty()) return readings_.problem();
  return "this node has a problem, which its operators are shown";
}

// Empty: this node is alone, or its fleet is nothing for whom this is for.
std::string Survey::fleet_text() const {
  if (!fleet_ || project_) return {};
  const auto fleet = fleet_->state();
  json::array nodes;
  for (const auto& node : fleet.nodes) nodes.push_back(render(node, controller_.model()));
  return json::serialize(
      json::object{{"cluster", render(fleet, peers_)}, {"nodes", std::move(nodes)}});
}

std::string Survey::whole() {
  std::string out = "{";
  write(out, "version", version_);
  write(out, "time", now_in_milliseconds());
  write(out, "step", std::chrono::seconds(Tracks::step).count());
  write(out, "problem", problem());
  if (project_) write(out, "project", *project_);
  write_list(out, "states", states, [](std::string& text, model::OperatingStatus status) {
    text.append("\"").append(model::name(status)).append("\"");
  });
  const auto attached = controller_.data_plane().interfaces();
  if (attached && !project_) {
    write_list(out, "interfaces", *attached, [](std::string& text, const auto& one) {
      text += json::serialize(json::string(one.name));
    });
  }
  write_list(out, "rows", rows_, [&](std::string& text, const Row& row) { write_row(text, row); });
  write_history(out);
  write_list(out, "reasons", reasons(), [](std::string& text, const Readings::Reason& reason) {
    text += '{';
    write(text, "label", reason.count.label);
    write(text, "verdict", reason.count.verdict);
    write(text, "description", reason.count.sentence);
    write(text, "packets", static_cast<std::int64_t>(reason.count.packets));
    write(text, "rate", reason.rate);
    text += '}';
  });
  told_fleet_ = fleet_text();
  if (!told_fleet_.empty()) out.append(",\"fleet\":").append(told_fleet_);
  write_events(out, {});
  all_told();
  return out += '}';
}

// What readers have is the base of the next changes().
void Survey::all_told() {
  for (auto& row : rows_) row.told = row.numbers;
  told_reasons_.clear();
  for (const auto& reason : reasons())
    told_reasons_.emplace_back(reason.count.packets, reason.rate);
  told_steps_ = readings_.tracks().steps();
}

std::string Survey::changes() {
  std::string out = "{";
  write(out, "time", now_in_milliseconds());
  write(out, "problem", problem());
  write_list(out, "rows", rows_, [&](std::string& text, const Row& row) {
    if (row.told == row.numbers) return;
    fmt::format_to(std::back_inserter(text), "[{},{}]", &row - rows_.data(),
                   fmt::join(row.numbers, ","));
  });
  write_list(out, "reasons", reasons(), [&](std::string& text, const Readings::Reason& reason) {
    const auto at = static_cast<std::size_t>(&reason - reasons().data());
    const std::pair now(reason.count.packets, reason.rate);
    if (at < told_reasons_.size() && told_reasons_[at] == now) return;
    fmt::format_to(std::back_inserter(text), "[{},{},{}]", at, now.first, now.second);
  });
  if (auto fleet = fleet_text(); fleet != told_fleet_) {
    told_fleet_ = std::move(fleet);
    out.append(",\"fleet\":").append(told_fleet_);
  }
  write_events(out, told_event_);
  const auto& tracks = readings_.tracks();
  if (told_steps_ != tracks.steps()) {
    const auto newest = (tracks.oldest() + Track::points - 1) % Track::points;
    write_list(out, "points", rows_, [&](std::string& text, const Row& row) {
      const auto* track = readings_.tracks().find(row.id);
      if (!track || (track->opened[newest] == 0 && track->bytes[newest] == 0)) return;
      fmt::format_to(std::back_inserter(text), "[{},{},{}]", &row - rows_.data(),
                     std::llround(track->opened[newest] * 10), std::llround(track->bytes[newest]));
    });
  }
  all_told();
  return out += '}';
}

}  // namespace sluice::api
