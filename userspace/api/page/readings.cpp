#include "api/page/readings.hpp"

#include <cmath>

namespace sluice::api {

void Readings::read_counters(Tracks::Time now) {
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
void Readings::read_reasons(double seconds) {
  auto counts = controller_.data_plane().reason_counters();
  if (!counts) return;
  reasons_.resize(counts->size());
  for (std::size_t i = 0; i < counts->size(); ++i) {
    auto& reason = reasons_[i];
    const auto packets = (*counts)[i].packets, before = reason.count.packets;
    reason.rate = seconds == 0 || packets < before
                      ? 0
                      : std::llround(static_cast<double>(packets - before) / seconds * 10);
    reason.count = std::move((*counts)[i]);
  }
}

// Members' changes of state are among the events, those before a restart too.
void Readings::note_changes() {
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

const Readings::Change* Readings::last_change(const Uuid& member) const {
  const auto found = member_changes_.find(to_string(member));
  return found == member_changes_.end() ? nullptr : &found->second;
}

}  // namespace sluice::api
