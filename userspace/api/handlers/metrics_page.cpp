#include "api/handlers/metrics_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "api/handlers/metric_text.hpp"

namespace sluice::api {
namespace {

using Value = std::optional<std::uint64_t>;  // nullopt: the object has no sample

template <typename Row>
struct Family {
  std::string name;
  std::string_view type;
  std::string_view help;
  Value (*value)(const Row&);
};
template <typename Row>
using Families = std::vector<Family<Row>>;

template <typename Row>
Families<Row> counter_families(std::string_view object) {
  const auto named = [&](std::string_view suffix) {
    return fmt::format("sluice_{}_{}", object, suffix);
  };
  return {
      {named("connections_total"), "counter", "Connections since the object was made.",
       [](const Row& row) -> Value { return row.counters.flows_opened; }},
      {named("connections_active"), "gauge", "Connections now.",
       [](const Row& row) -> Value { return row.counters.active_flows(); }},
      {named("connections_failed_total"), "counter", "Connections that were never established.",
       [](const Row& row) -> Value { return row.counters.flows_failed; }},
      {named("connections_refused_total"), "counter", "Connections that Sluice itself refused.",
       [](const Row& row) -> Value { return row.counters.flows_refused; }},
      {named("packets_in_total"), "counter", "Packets from clients.",
       [](const Row& row) -> Value { return row.counters.packets_in; }},
      {named("packets_out_total"), "counter", "Packets to clients.",
       [](const Row& row) -> Value { return row.counters.packets_out; }},
      {named("bytes_in_total"), "counter", "Bytes from clients.",
       [](const Row& row) -> Value { return row.counters.bytes_in; }},
      {named("bytes_out_total"), "counter", "Bytes to clients.",
       [](const Row& row) -> Value { return row.counters.bytes_out; }},
  };
}

Families<CountedMember> member_families() {
  auto families = counter_families<CountedMember>("member");
  families.push_back({"sluice_member_up", "gauge", "1: the last probes found it alive, 0: dead.",
                      [](const CountedMember& row) -> Value {
                        if (!row.up) return std::nullopt;
                        return *row.up ? 1 : 0;
                      }});
  families.push_back({"sluice_member_suspected", "gauge",
                      "1: new connections to it failed, and it has yet to answer a probe.",
                      [](const CountedMember& row) -> Value { return row.suspected ? 1 : 0; }});
  return families;
}

Families<PoolRow> pool_families() {
  return {
      {"sluice_pool_listeners", "gauge", "Listeners whose default pool it is.",
       [](const PoolRow& row) -> Value { return row.listeners; }},
      {"sluice_pool_members", "gauge", "Members of the pool.",
       [](const PoolRow& row) -> Value { return row.members; }},
      {"sluice_pool_usable_members", "gauge",
       "Members that may have new connections: enabled, with a weight, and not down.",
       [](const PoolRow& row) -> Value { return row.usable; }},
  };
}

Families<LabelRow> status_families() {
  return {{"sluice_load_balancer_status", "gauge",
           "1, with the operating and provisioning status as labels; in a fleet the fleet's.",
           [](const LabelRow&) -> Value { return 1; }}};
}

// The samples of one kind of object while they are written, family by family.
template <typename Row>
class Samples {
 public:
  explicit Samples(Families<Row> families) : families_(std::move(families)) {}

  // Writes at most `left` samples, and takes them off; returns whether all are written.
  bool write_some(std::string& out, const std::vector<Row>& rows, std::size_t& left) {
    for (MetricText text(out); family_ < families_.size(); ++family_, written_ = 0) {
      if (left == 0) return false;
      const auto& family = families_[family_];
      if (written_ == 0) text.family(family.name, family.type, family.help);
      const auto opening = family.name + "{";
      const auto end = std::min(rows.size(), written_ + left);
      left -= end - written_;
      for (; written_ < end; ++written_) {
        const auto& row = rows[written_];
        if (const auto value = family.value(row)) text.sample_of_many(opening, row.labels, *value);
      }
      if (written_ < rows.size()) return false;
    }
    return true;
  }

 private:
  const Families<Row> families_;
  std::size_t family_ = 0, written_ = 0;
};

// Handshake times as cumulative buckets, as Prometheus wants them; every other limit is enough.
// Members without a measured handshake have no samples.
class HandshakeSamples {
 public:
  // Writes at most about `left` samples, and takes them off; returns whether all are written.
  bool write_some(std::string& out, const control::HandshakesById& all,
                  const std::vector<LabelRow>& members, std::size_t& left) {
    MetricText text(out);
    if (!std::exchange(begun_, true)) {
      text.family(name, "histogram",
                  "How long the member took to answer a SYN or INIT, of a sample of connections.");
      next_ = all.begin();
    }
    for (; next_ != all.end(); ++next_) {
      if (left == 0) return false;
      const auto& [id, times] = *next_;
      const auto row = std::ranges::lower_bound(members, id, {}, &LabelRow::id);
      if (row != members.end() && row->id == id) write(text, row->labels, times);
      left -= std::min(left, times.buckets.size() + 2);  // sum and count are samples, too
    }
    return true;
  }

 private:
  static constexpr std::string_view name = "sluice_member_handshake_seconds";

  void write(MetricText text, const std::string& labels, const control::HandshakeTimes& times) {
    constexpr double second_ns = 1e9;
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < times.buckets.size(); ++i) {
      const auto& bucket = times.buckets[i];
      so_far += bucket.answers;
      if (i % 2 != 0 && bucket.at_most_ns != UINT64_MAX) continue;
      text.sample_of_many(buckets_, labels, limit_label(bucket.at_most_ns), so_far);
    }
    text.sample(sum_, labels, static_cast<double>(times.sum_ns) / second_ns);
    text.sample_of_many(count_, labels, so_far);
  }

  // All members have the same few limits.
  const std::string& limit_label(std::uint64_t at_most_ns) {
    const auto [known, fresh] = limit_labels_.try_emplace(at_most_ns);
    if (fresh) {
      known->second = at_most_ns == UINT64_MAX
                          ? ",le=\"+Inf\""
                          : fmt::format(",le=\"{:.9g}\"", static_cast<double>(at_most_ns) / 1e9);
    }
    return known->second;
  }

  const std::string buckets_ = fmt::format("{}_bucket{{", name), sum_ = fmt::format("{}_sum", name),
                    count_ = fmt::format("{}_count{{", name);
  std::map<std::uint64_t, std::string> limit_labels_;
  bool begun_ = false;
  control::HandshakesById::const_iterator next_;
};

class MetricsPage : public Pieces {
 public:
  explicit MetricsPage(MetricFigures figures) : figures_(std::move(figures)) {}

  bool append_next(std::string& out) override {
    static constexpr std::array sections = {&MetricsPage::before,  &MetricsPage::listeners,
                                            &MetricsPage::members, &MetricsPage::handshakes,
                                            &MetricsPage::pools,   &MetricsPage::statuses,
                                            &MetricsPage::after};
    for (auto left = samples_in_a_piece; left > 0 && section_ < sections.size();) {
      if ((this->*sections[section_])(out, left)) ++section_;
    }
    return section_ == sections.size();
  }

 private:
  // Of 150 bytes each, as long as objects have short names: a tenth of a millisecond.
  static constexpr std::size_t samples_in_a_piece = 512;

  bool before(std::string& out, std::size_t&) { return out += figures_.before, true; }
  bool listeners(std::string& out, std::size_t& left) {
    return !figures_.listeners || listeners_.write_some(out, *figures_.listeners, left);
  }
  bool members(std::string& out, std::size_t& left) {
    return !figures_.members || members_.write_some(out, *figures_.members, left);
  }
  bool handshakes(std::string& out, std::size_t& left) {
    return !figures_.handshakes ||
           handshakes_.write_some(out, *figures_.handshakes, *figures_.rows.members, left);
  }
  bool pools(std::string& out, std::size_t& left) {
    return pools_.write_some(out, *figures_.rows.pools, left);
  }
  bool statuses(std::string& out, std::size_t& left) {
    return statuses_.write_some(out, *figures_.rows.load_balancers, left);
  }
  bool after(std::string& out, std::size_t&) { return out += figures_.after, true; }

  const MetricFigures figures_;
  std::size_t section_ = 0;
  Samples<Counted> listeners_{counter_families<Counted>("listener")};
  Samples<CountedMember> members_{member_families()};
  HandshakeSamples handshakes_;
  Samples<PoolRow> pools_{pool_families()};
  Samples<LabelRow> statuses_{status_families()};
};

}  // namespace

std::unique_ptr<Pieces> metrics_page(MetricFigures figures) {
  return std::make_unique<MetricsPage>(std::move(figures));
}

}  // namespace sluice::api
