#include "api/handlers/metrics.hpp"

#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <iterator>

#include "model/names.hpp"
#include "model/status.hpp"
#include "model/vips.hpp"

namespace sluice::api {
namespace {

using Label = std::pair<std::string_view, std::string_view>;

void append_escaped(std::string& out, std::string_view text) {
  for (auto at = text.find_first_of("\\\"\n"); at != text.npos; at = text.find_first_of("\\\"\n")) {
    out.append(text.substr(0, at))
        .append(text[at] == '\n'  ? "\\n"
                : text[at] == '"' ? "\\\""
                                  : "\\\\");
    text.remove_prefix(at + 1);
  }
  out.append(text);
}

// What stands in a sample's braces. Made once for all samples of an object: there are thousands.
std::string label_text(std::initializer_list<Label> labels) {
  std::string out;
  for (const auto& [key, text] : labels) {
    if (!out.empty()) out += ',';
    out.append(key).append("=\"");
    append_escaped(out, text);
    out += '"';
  }
  return out;
}

// The text of all metrics. Each family is announced once, before its first sample.
class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out_), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  template <typename Number>
  void sample(std::string_view name, std::string_view labels, Number value) {
    out_.append(name);
    if (!labels.empty()) out_.append("{").append(labels).append("}");
    if constexpr (std::is_integral_v<Number>) {
      out_.append(" ").append(fmt::format_int(value).c_str()).append("\n");
    } else {
      fmt::format_to(std::back_inserter(out_), " {}\n", value);
    }
  }
  template <typename Number>
  void sample(std::string_view name, std::initializer_list<Label> labels, Number value) {
    sample(name, label_text(labels), value);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// An object with its labels and its counters.
struct Counted {
  std::string labels;
  control::Counters counters;
};

struct Family {
  std::string_view suffix;
  std::string_view type;
  std::string_view help;
  std::uint64_t (*value)(const control::Counters&);
};

constexpr std::array families = {
    Family{"connections_total", "counter", "Connections since the object was made.",
           [](const control::Counters& c) { return c.flows_opened; }},
    Family{"connections_active", "gauge", "Connections now.",
           [](const control::Counters& c) { return c.active_flows(); }},
    Family{"connections_failed_total", "counter", "Connections that were never established.",
           [](const control::Counters& c) { return c.flows_failed; }},
    Family{"connections_refused_total", "counter", "Connections that Sluice itself refused.",
           [](const control::Counters& c) { return c.flows_refused; }},
    Family{"packets_in_total", "counter", "Packets from clients.",
           [](const control::Counters& c) { return c.packets_in; }},
    Family{"packets_out_total", "counter", "Packets to clients.",
           [](const control::Counters& c) { return c.packets_out; }},
    Family{"bytes_in_total", "counter", "Bytes from clients.",
           [](const control::Counters& c) { return c.bytes_in; }},
    Family{"bytes_out_total", "counter", "Bytes to clients.",
           [](const control::Counters& c) { return c.bytes_out; }},
};

void write(Text& text, std::string_view object, const std::vector<Counted>& all) {
  for (const auto& family : families) {
    const auto name = fmt::format("sluice_{}_{}", object, family.suffix);
    text.family(name, family.type, family.help);
    for (const auto& one : all) text.sample(name, one.labels, family.value(one.counters));
  }
}

// Labels have an object's name, which is easy to read, and its id, which is unique.
template <typename T>
std::string_view name_of(const model::Table<T>& objects, const Uuid& id) {
  const T* found = objects.lookup(id);
  return found ? std::string_view(found->name) : std::string_view();
}

class Scrape {
 public:
  Scrape(control::Controller& controller, const TurnTimes* turns, const Events* events)
      : turns_(turns),
        events_(events),
        forgotten_notes_(controller.forgotten_notes()),
        data_plane_(controller.data_plane()),
        model_(controller.model()),
        health_(controller.health()),
        suspects_(controller.suspects()),
        full_(controller.full_listeners()) {}

  std::string text() {
    packets();
    if (const auto all = data_plane_.all_counters()) {
      listeners(*all);
      members(*all);
    } else {
      failed();
    }
    statuses();
    interfaces();
    turns();
    events();
    text_.family("sluice_scrape_errors", "gauge", "Parts of this page that could not be read.");
    text_.sample("sluice_scrape_errors", "", errors_);
    return text_.take();
  }

 private:
  void packets() {
    text_.family("sluice_packets_total", "counter",
                 "Packets by what became of them and why (see 'sluicectl drops').");
    const auto reasons = data_plane_.reason_counters();
    if (!reasons) return failed();
    for (const auto& reason : *reasons) {
      text_.sample("sluice_packets_total", {{"reason", reason.label}, {"verdict", reason.verdict}},
                   reason.packets);
    }
  }

  void listeners(const control::AllCounters& all) {
    std::vector<Counted> counted;
    counted.reserve(model_.listeners.size());
    for (const auto& [id, listener] : model_.listeners) {
      counted.push_back(
          {label_text({{"id", to_string(id)},
                       {"listener", listener.name},
                       {"load_balancer", name_of(model_.load_balancers, listener.load_balancer_id)},
                       {"protocol", model::name(listener.protocol)},
                       {"port", fmt::format_int(listener.protocol_port).c_str()}}),
           counters_of(all.listeners, id)});
    }
    write(text_, "listener", counted);
  }

  void members(const control::AllCounters& all) {
    std::vector<Counted> counted;
    counted.reserve(model_.members.size());
    for (const auto& [id, member] : model_.members) {
      counted.push_back({labels_of(member), counters_of(all.members, id)});
    }
    write(text_, "member", counted);
    handshakes(all);
    text_.family("sluice_member_up", "gauge", "1: the last probes found it alive, 0: dead.");
    for (const auto& [id, health] : health_) {
      const auto member = model_.members.find(id);
      if (member == model_.members.end()) continue;
      text_.sample("sluice_member_up", labels_of(member->second),
                   health == model::Health::up ? 1 : 0);
    }
    text_.family("sluice_member_suspected", "gauge",
                 "1: new connections to it failed, and it has yet to answer a probe.");
    auto labelled = counted.begin();
    for (const auto& [id, member] : model_.members) {
      text_.sample("sluice_member_suspected", (labelled++)->labels, suspects_.contains(id) ? 1 : 0);
    }
  }

  // Handshake times as cumulative buckets, as Prometheus wants them; every other limit is enough.
  // Members without a measured handshake have no samples.
  void handshakes(const control::AllCounters& all) {
    constexpr std::string_view name = "sluice_member_handshake_seconds";
    constexpr double second_ns = 1e9;
    text_.family(name, "histogram",
                 "How long the member took to answer a SYN or INIT, of a sample of connections.");
    for (const auto& [id, times] : all.handshakes) {
      const auto member = model_.members.find(id);
      if (member == model_.members.end()) continue;
      const auto labels = labels_of(member->second);
      std::uint64_t so_far = 0;
      for (std::size_t i = 0; i < times.buckets.size(); ++i) {
        const auto& bucket = times.buckets[i];
        const bool any = bucket.at_most_ns == UINT64_MAX;
        so_far += bucket.answers;
        if (i % 2 != 0 && !any) continue;
        const auto limit =
            any ? "+Inf"
                : fmt::format("{:.9g}", static_cast<double>(bucket.at_most_ns) / second_ns);
        text_.sample(fmt::format("{}_bucket", name), labels + ",le=\"" + limit + '"', so_far);
      }
      text_.sample(fmt::format("{}_sum", name), labels,
                   static_cast<double>(times.sum_ns) / second_ns);
      text_.sample(fmt::format("{}_count", name), labels, so_far);
    }
  }

  static control::Counters counters_of(const std::map<Uuid, control::Counters>& all,
                                       const Uuid& id) {
    const auto found = all.find(id);
    return found == all.end() ? control::Counters{} : found->second;
  }

  std::string labels_of(const model::Member& member) const {
    return label_text({{"id", to_string(member.id)},
                       {"member", member.name},
                       {"pool", name_of(model_.pools, member.pool_id)},
                       {"address", member.address.to_string()},
                       {"port", fmt::format_int(member.protocol_port).c_str()}});
  }

  // One sample per load balancer with the status as a label, because operators alert on the word.
  void statuses() {
    text_.family("sluice_load_balancer_status", "gauge",
                 "1, with the operating and provisioning status as labels.");
    for (const auto& [id, object] : model_.load_balancers) {
      const auto operating = model::operating_status(relations_, health_, object, full_);
      text_.sample("sluice_load_balancer_status",
                   {{"id", to_string(id)},
                    {"load_balancer", object.name},
                    {"vip", model::vips_text(object)},
                    {"operating_status", model::name(operating)},
                    {"provisioning_status", model::name(object.provisioning_status)}},
                   1);
    }
  }

  void interfaces() {
    text_.family("sluice_interface_attached", "gauge", "1 for each NIC that Sluice balances on.");
    const auto attached = data_plane_.interfaces();
    if (!attached) return failed();
    for (const auto& interface : *attached) {
      text_.sample("sluice_interface_attached", {{"interface", interface.name}}, 1);
    }
  }

  // The event loop's turns, for which an eviction may have to wait, and the longest one.
  void turns() {
    if (!turns_) return;
    constexpr std::string_view name = "sluice_event_loop_turn_cpu_seconds";
    const auto seconds = [](std::chrono::nanoseconds time) {
      return std::chrono::duration<double>(time).count();
    };
    text_.family(name, "histogram", "CPU time of the turns of sluiced's event loop.");
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < turns_->counts().size(); ++i) {
      so_far += turns_->counts()[i];
      const bool any = i == TurnTimes::limits.size();
      text_.sample(fmt::format("{}_bucket", name),
                   {{"le", any ? "+Inf" : fmt::format("{:g}", seconds(TurnTimes::limits[i]))}},
                   so_far);
    }
    text_.sample(fmt::format("{}_sum", name), "", seconds(turns_->sum()));
    text_.sample(fmt::format("{}_count", name), "", so_far);
    text_.family("sluice_event_loop_longest_turn_cpu_seconds", "gauge",
                 "CPU time of the longest turn since the start.");
    text_.sample("sluice_event_loop_longest_turn_cpu_seconds", "", seconds(turns_->longest()));
  }

  void events() {
    if (!events_) return;
    constexpr std::string_view name = "sluice_events_dropped_total";
    text_.family(name, "counter",
                 "Events that were dropped: too many alike in a minute, or the disk took none.");
    text_.sample(name, {{"reason", "alike"}}, events_->dropped());
    text_.sample(name, {{"reason", "disk"}}, forgotten_notes_);
  }

  void failed() { ++errors_; }

  const TurnTimes* turns_;
  const Events* events_;
  const std::uint64_t forgotten_notes_;

  control::DataPlane& data_plane_;
  const model::Model& model_;
  const model::HealthTable& health_;
  const control::Suspects& suspects_;
  const model::FullListeners full_;
  const model::Relations relations_{model_};
  Text text_;
  std::uint64_t errors_ = 0;
};

}  // namespace

std::string metrics(control::Controller& controller, const TurnTimes* turns, const Events* events) {
  return Scrape(controller, turns, events).text();
}

}  // namespace sluice::api
