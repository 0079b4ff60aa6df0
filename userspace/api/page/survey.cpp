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

void Survey::read_counters(Tracks::Time now) {
  const auto before = tracks_.last_reading();
  auto& data_plane = controller_.data_plane();
  const auto all = data_plane.all_counters();
  problem_ = all ? "" : all.error().text();
  if (!all) return;
  const auto attached = data_plane.interfaces();
  if (!attached) {
    problem_ = attached.error().text();
  } else if (attached->empty()) {
    problem_ = "attached to no NIC, so nothing is balanced";
  }
  tracks_.read(*all, now);
  if (tracks_.last_reading() != before) {
    read_reasons(before == Tracks::Time() ? 0
                                          : std::chrono::duration<double>(now - before).count());
  }
}

// `seconds`: since the previous reading; 0: there was none.
void Survey::read_reasons(double seconds) {
  auto counts = controller_.data_plane().reason_counters();
  if (!counts) return;
  reasons_.resize(counts->size());
  for (std::size_t i = 0; i < counts->size(); ++i) {
    auto& reason = reasons_[i];
    const auto packets = (*counts)[i].packets, before = reason.count.packets;
    reason.rate = seconds == 0 || packets < before
                      ? 0
                      : tenths(static_cast<double>(packets - before) / seconds);
    reason.count = std::move((*counts)[i]);
  }
}

// Members' changes of state are among the events, those before a restart too.
void Survey::note_changes() {
  for (const auto* event : events_.find({.after = noted_event_, .limit = Events::capacity})) {
    noted_event_ = event->number;
    const auto* id = event->kind == "health" ? event->object.if_contains("id") : nullptr;
    if (!id || !id->is_string()) continue;
    member_changes_[std::string(id->get_string())] = {event->time, event->message};
  }
  const auto& members = controller_.model().members;
  if (member_changes_.size() <= 2 * members.size() + Events::capacity) return;
  std::erase_if(member_changes_, [&](const auto& one) {
    const auto id = parse_uuid(one.first);
    return !id || !members.contains(*id);
  });
}

bool Survey::look() {
  note_changes();
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
    const auto* track =
        row.kind == Kind::listener || row.kind == Kind::member ? tracks_.find(row.id) : nullptr;
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
  const auto change = member_changes_.find(to_string(object.id));
  if (change == member_changes_.end()) return;
  write(out, "changed", milliseconds(change->second.time));
  write(out, "change", change->second.text);
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
  const auto write_points = [&](const std::array<float, Track::points>& points, float unit) {
    out += ",[";
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto value = points[(tracks_.oldest() + i) % points.size()];
      if (i != 0) out += ',';
      out.append(fmt::format_int(std::llround(value * unit)).c_str());
    }
    out += ']';
  };
  write_list(out, "history", rows_, [&](std::string&, const Row& row) {
    const auto* track = tracks_.find(row.id);
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

void Survey::write_events(std::string& out, const std::vector<const Event*>& found) {
  write_list(out, "events", found, [](std::string& text, const Event* event) {
    text += json::serialize(render(*event));
  });
}

// Empty: this node is alone.
std::string Survey::fleet_text() const {
  if (!fleet_) return {};
  const auto fleet = fleet_->state();
  json::array nodes;
  for (const auto& node : fleet.nodes) nodes.push_back(render(node, controller_.model()));
  return json::serialize(json::object{{"cluster", render(fleet)}, {"nodes", std::move(nodes)}});
}

std::string Survey::whole() {
  std::string out = "{";
  write(out, "version", version_);
  write(out, "time", now_in_milliseconds());
  write(out, "step", std::chrono::seconds(Tracks::step).count());
  write(out, "problem", problem_);
  write_list(out, "states", states, [](std::string& text, model::OperatingStatus status) {
    text.append("\"").append(model::name(status)).append("\"");
  });
  const auto attached = controller_.data_plane().interfaces();
  if (attached) {
    write_list(out, "interfaces", *attached, [](std::string& text, const auto& one) {
      text += json::serialize(json::string(one.name));
    });
  }
  write_list(out, "rows", rows_, [&](std::string& text, const Row& row) { write_row(text, row); });
  write_history(out);
  write_list(out, "reasons", reasons_, [](std::string& text, const Reason& reason) {
    text += '{';
    write(text, "label", reason.count.label);
    write(text, "verdict", reason.count.verdict);
    write(text, "description", reason.count.sentence);
    write(text, "packets", static_cast<std::int64_t>(reason.count.packets));
    write(text, "rate", reason.rate);
    text += '}';
  });
  told_fleet_ = fleet_text();
  if (fleet_) out.append(",\"fleet\":").append(told_fleet_);
  write_events(out, events_.find({.limit = most_events}));
  told_event_ = events_.last();
  all_told();
  return out += '}';
}

// What readers have is the base of the next changes().
void Survey::all_told() {
  for (auto& row : rows_) row.told = row.numbers;
  for (auto& reason : reasons_) {
    reason.told = reason.count.packets;
    reason.told_rate = reason.rate;
  }
  told_steps_ = tracks_.steps();
}

std::string Survey::changes() {
  std::string out = "{";
  write(out, "time", now_in_milliseconds());
  write(out, "problem", problem_);
  write_list(out, "rows", rows_, [&](std::string& text, const Row& row) {
    if (row.told == row.numbers) return;
    fmt::format_to(std::back_inserter(text), "[{},{}]", &row - rows_.data(),
                   fmt::join(row.numbers, ","));
  });
  write_list(out, "reasons", reasons_, [&](std::string& text, const Reason& reason) {
    if (reason.told == reason.count.packets && reason.told_rate == reason.rate) return;
    fmt::format_to(std::back_inserter(text), "[{},{},{}]", &reason - reasons_.data(),
                   reason.count.packets, reason.rate);
  });
  if (auto fleet = fleet_text(); fleet != told_fleet_) {
    told_fleet_ = std::move(fleet);
    out.append(",\"fleet\":").append(told_fleet_);
  }
  const auto found = events_.find({.after = told_event_, .limit = most_events});
  if (!found.empty()) told_event_ = found.back()->number;
  write_events(out, found);
  if (told_steps_ != tracks_.steps()) {
    const auto newest = (tracks_.oldest() + Track::points - 1) % Track::points;
    write_list(out, "points", rows_, [&](std::string& text, const Row& row) {
      const auto* track = tracks_.find(row.id);
      if (!track || (track->opened[newest] == 0 && track->bytes[newest] == 0)) return;
      fmt::format_to(std::back_inserter(text), "[{},{},{}]", &row - rows_.data(),
                     std::llround(track->opened[newest] * 10), std::llround(track->bytes[newest]));
    });
  }
  all_told();
  return out += '}';
}

}  // namespace sluice::api
