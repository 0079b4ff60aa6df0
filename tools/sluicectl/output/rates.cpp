#include "sluicectl/output/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value_to.hpp>

#include "base/printable.hpp"
#include "sluicectl/output/table.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

std::string text_at(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains(field);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number_at(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains(field);
  return value && value->is_number() ? value->to_number<std::int64_t>() : 0;
}

Counted read_counted(const json::object& object) {
  return {.id = text_at(object, "id"),
          .name = text_at(object, "name"),
          .owner = text_at(object, "owner"),
          .address = text_at(object, "address"),
          .status = text_at(object, "operating_status"),
          .active = number_at(object, "active_connections"),
          .opened = number_at(object, "total_connections"),
          .failed = number_at(object, "failed_connections"),
          .refused = number_at(object, "refused_connections"),
          .packets_in = number_at(object, "packets_in"),
          .packets_out = number_at(object, "packets_out"),
          .bytes_in = number_at(object, "bytes_in"),
          .bytes_out = number_at(object, "bytes_out")};
}

const json::array* array_at(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains(field);
  return value ? value->if_array() : nullptr;
}

template <typename Read>
void read_all(const json::array& from, Read read) {
  for (const auto& item : from)
    if (const auto* object = item.if_object()) read(*object);
}

Rate rate_of(std::int64_t before, std::int64_t now, double seconds) {
  if (seconds <= 0 || now < before) return std::nullopt;
  return static_cast<double>(now - before) / seconds;
}

Rate in_bits(const Rate& bytes) {
  return bytes ? Rate(*bytes * 8) : bytes;
}

Load load_of(const std::vector<Counted>* before, const Counted& now, double seconds) {
  Load load;
  load.now = now;
  if (!before) return load;
  const auto was = std::find_if(before->begin(), before->end(),
                                [&](const Counted& one) { return one.id == now.id; });
  if (was == before->end()) return load;
  load.opened = rate_of(was->opened, now.opened, seconds);
  load.failed = rate_of(was->failed, now.failed, seconds);
  load.refused = rate_of(was->refused, now.refused, seconds);
  load.packets_in = rate_of(was->packets_in, now.packets_in, seconds);
  load.packets_out = rate_of(was->packets_out, now.packets_out, seconds);
  load.bits_in = in_bits(rate_of(was->bytes_in, now.bytes_in, seconds));
  load.bits_out = in_bits(rate_of(was->bytes_out, now.bytes_out, seconds));
  return load;
}

std::vector<ReasonRate> drops(const Snapshot* before, const Snapshot& now, double seconds) {
  std::vector<ReasonRate> found;
  for (const auto& reason : now.reasons) {
    if (reason.verdict != "drop" || reason.packets == 0) continue;
    ReasonRate one{reason.label, reason.verdict, reason.packets, std::nullopt};
    if (before) {
      for (const auto& was : before->reasons)
        if (was.label == reason.label) one.rate = rate_of(was.packets, reason.packets, seconds);
    }
    found.push_back(std::move(one));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.rate.value_or(-1) > b.rate.value_or(-1);
  });
  return found;
}

void read_health(Snapshot& snapshot, const json::object& health) {
  const auto object_at = [&](std::string_view field) -> const json::object* {
    const auto* value = health.if_contains(field);
    return value ? value->if_object() : nullptr;
  };
  const auto decimal_at = [](const json::object& object, std::string_view field) {
    const auto* value = object.if_contains(field);
    return value && value->is_number() ? value->to_number<double>() : 0.0;
  };
  if (const auto* loop = object_at("event_loop")) {
    snapshot.loop =
        Snapshot::Loop{number_at(*loop, "turns"), number_at(*loop, "slow_turns"),
                       decimal_at(*loop, "cpu_seconds"), decimal_at(*loop, "longest_turn_seconds")};
  }
  if (const auto* store = object_at("store")) {
    snapshot.store_failure = text_at(*store, "failure");
    snapshot.store_waits_seconds = decimal_at(*store, "waits_seconds");
  }
  if (const auto* fleet = object_at("fleet")) {
    snapshot.fleet = Snapshot::Fleet{text_at(*fleet, "state"), text_at(*fleet, "reason"),
                                     number_at(*fleet, "nodes"), number_at(*fleet, "generation")};
  }
  const auto* tables = array_at(health, "tables");
  if (!tables) return;
  read_all(*tables, [&](const auto& one) {
    snapshot.tables.push_back(
        {text_at(one, "table"), number_at(one, "connections"), number_at(one, "capacity")});
  });
}

std::string loop_text(const Snapshot::Loop* before, const Snapshot::Loop& now, double seconds) {
  std::string text;
  if (before && seconds > 0 && now.turns >= before->turns) {
    const auto turns = now.turns - before->turns;
    const auto busy = now.cpu_seconds - before->cpu_seconds;
    text = fmt::format("busy {:.1f} %, {} turns/s", 100 * busy / seconds,
                       short_number(rate_of(before->turns, now.turns, seconds)));
    if (turns > 0) text += fmt::format(" of {:.2f} ms", 1000 * busy / static_cast<double>(turns));
    text += ", ";
  }
  return text + fmt::format("longest {:.0f} ms, {} over 100 ms since the start",
                            1000 * now.longest_turn_seconds, now.slow_turns);
}

// The reason is what etcd or a library said, so it may hold anything.
std::string fleet_text(const Snapshot::Fleet& fleet) {
  auto text = fmt::format("{}, generation {}, {} {}", fleet.state, fleet.generation, fleet.nodes,
                          fleet.nodes == 1 ? "node" : "nodes");
  if (!fleet.reason.empty()) text += ": " + fleet.reason;
  return printable(text);
}

std::vector<HealthLine> health_of(const Snapshot* before, const Snapshot& now, double seconds) {
  std::vector<HealthLine> lines;
  if (!now.loop) return lines;
  lines.push_back({"event loop", loop_text(before && before->loop ? &*before->loop : nullptr,
                                           *now.loop, seconds)});
  auto store = now.store_failure.empty() ? std::string("takes changes")
                                         : "refuses changes: " + now.store_failure;
  if (now.store_waits_seconds >= 1)
    store = fmt::format("at a change for {:.0f} s", now.store_waits_seconds);
  lines.push_back({"store", std::move(store)});
  for (const auto& [name, connections, capacity] : now.tables) {
    const auto share =
        capacity > 0 ? 100.0 * static_cast<double>(connections) / static_cast<double>(capacity)
                     : 0.0;
    lines.push_back(
        {name, fmt::format("{} of {} connections, {:.1f} % full", connections, capacity, share)});
  }
  return lines;
}

std::string table_of(const std::vector<Load>& loads, const std::string& what,
                     const std::string& owner) {
  TextTable table({what, owner, "address", "status", "connections", "new/s", "packets/s in",
                   "packets/s out", "bit/s in", "bit/s out", "failed/s", "refused/s"});
  for (std::size_t column = 4; column < 12; ++column) table.align_right(column);
  for (const auto& load : loads) {
    const auto& now = load.now;
    table.add_row({now.name.empty() ? now.id : now.name, now.owner, now.address, now.status,
                   std::to_string(now.active), short_number(load.opened),
                   short_number(load.packets_in), short_number(load.packets_out),
                   short_number(load.bits_in), short_number(load.bits_out),
                   short_number(load.failed), short_number(load.refused)});
  }
  return table.text();
}

}  // namespace

Result<Snapshot> read_snapshot(const json::object& counters) {
  const auto* listeners = array_at(counters, "listeners");
  const auto* members = array_at(counters, "members");
  const auto* reasons = array_at(counters, "reasons");
  if (!listeners || !members || !reasons)
    return fail(ErrorKind::internal, "the answer to GET /v1/counters is not what was expected");
  Snapshot snapshot;
  read_all(*listeners, [&](const auto& one) { snapshot.listeners.push_back(read_counted(one)); });
  read_all(*members, [&](const auto& one) { snapshot.members.push_back(read_counted(one)); });
  read_all(*reasons, [&](const auto& one) {
    snapshot.reasons.push_back(
        {text_at(one, "label"), text_at(one, "verdict"), number_at(one, "packets")});
  });
  const auto* health = counters.if_contains("health");
  if (health && health->is_object()) read_health(snapshot, health->get_object());
  return snapshot;
}

Screen compare(const Snapshot* before, const Snapshot& now, double seconds) {
  Screen screen;
  for (const auto& one : now.listeners)
    screen.listeners.push_back(load_of(before ? &before->listeners : nullptr, one, seconds));
  for (const auto& one : now.members)
    screen.members.push_back(load_of(before ? &before->members : nullptr, one, seconds));
  screen.reasons = drops(before, now, seconds);
  screen.health = health_of(before, now, seconds);
  if (now.fleet) screen.fleet = fleet_text(*now.fleet);
  return screen;
}

std::string short_number(const Rate& rate) {
  if (!rate) return "-";
  double value = *rate;
  constexpr std::array units = {"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0 && value == static_cast<double>(static_cast<std::int64_t>(value)))
    return fmt::format("{:.0f}", value);
  return fmt::format("{:.1f}{}", value, units[unit]);
}

std::string text_of(const Screen& screen) {
  std::string text = screen.fleet.empty() ? "" : fmt::format("fleet: {}\n", screen.fleet);
  text += table_of(screen.listeners, "listener", "load balancer");
  text += table_of(screen.members, "member", "pool");
  TextTable table({"dropped because of", "packets/s", "packets"});
  table.align_right(1);
  table.align_right(2);
  for (const auto& reason : screen.reasons)
    table.add_row({reason.label, short_number(reason.rate), std::to_string(reason.packets)});
  text += table.text();
  if (screen.health.empty()) return text;
  TextTable health({"sluiced", "is"});
  for (const auto& line : screen.health) health.add_row({line.subject, line.text});
  return text + health.text();
}

}  // namespace sluice::ctl
