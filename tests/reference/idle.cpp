// The model's time: which connections are idle, what the sweeps do to them, and which members are
// too late.
//
// Silence is told in whole ticks, of which the first may have been over at once. So a connection
// may be silent for the ticks of its idle time, rounded down, and two more; the next one is too
// many. Where the short sweep has marked both slots, it is told in half seconds: for those of the
// idle time and one more.
#include <algorithm>

#include "reference/model.hpp"

namespace sluice::test::reference {
namespace {

constexpr std::uint8_t tcp = 6, udp = 17;

// Marks tell no longer silence.
constexpr Time longest_mark = 120;
// What is over stays for so long, so that both ends are told.
constexpr unsigned seconds_over = 60;
// One slot tells no longer idle time.
constexpr unsigned most_seconds_of_one_slot = 12600;
// A member that has not spoken for so long is silent if its client has.
constexpr unsigned seconds_until_silent = 30;

constexpr Time ticks_allowed(unsigned seconds) {
  return seconds * second / tick + 2;
}

// The silence that is too long, in half seconds; 0: marks don't tell it.
constexpr Time short_limit(unsigned seconds) {
  const Time limit = seconds * second + 1;
  return limit <= longest_mark ? limit : 0;
}

}  // namespace

// A mark is none until it is a stamp again, if it is more than six ticks old.
Time Model::ticks_since(const Seen& seen) const {
  const auto ticks = now_ / tick - seen.at / tick;
  return seen.marked && ticks > 6 ? 0 : ticks;
}

unsigned Model::idle_seconds(const Flow& flow) const {
  const auto own = configuration_.listeners.at(flow.service).idle_seconds;
  const auto at_most = [&](unsigned usual) { return own ? std::min(own, usual) : usual; };
  const auto otherwise = [&](unsigned usual) { return own ? own : usual; };
  if (flow.is_over()) return flow.established && !flow.both_ended() ? 240 : 60;
  if (flow.client_end == End::fin || flow.member_end == End::fin) return at_most(240);
  if (flow.at_client.protocol == udp) return flow.established ? otherwise(120) : at_most(30);
  return flow.established ? otherwise(7440) : 60;
}

// Says whether the ends are reset when the connection is idle: it is open.
bool Model::ends_with_resets(const Flow& flow) const {
  return configuration_.listeners.at(flow.service).resets_idle && flow.at_client.protocol == tcp &&
         flow.established && !flow.is_over() && flow.client_end == End::no &&
         flow.member_end == End::no;
}

// The ticks of either end's silence.
Time Model::silence(const Flow& flow) const {
  const auto of_client = ticks_since(flow.client_seen);
  return is_direct(flow.mode) ? of_client : std::min(of_client, ticks_since(flow.member_seen));
}

bool Model::is_idle(const Flow& flow) const {
  auto seconds = idle_seconds(flow);
  if (is_direct(flow.mode)) seconds = std::min(seconds, most_seconds_of_one_slot);
  return silence(flow) > ticks_allowed(seconds);
}

Time Model::ticks_left(const Flow& flow) const {
  const auto seconds = idle_seconds(flow);
  const auto own = short_limit(configuration_.listeners.at(flow.service).idle_seconds);
  const auto most = own > 1 && short_limit(seconds) ? (short_limit(seconds) + tick - 1) / tick
                                                    : ticks_allowed(seconds) + 1;
  return most - std::min(most, silence(flow));
}

// Says whether only the client has spoken lately. A member that answers directly is never heard.
bool Model::is_member_silent(const Flow& flow) const {
  constexpr auto allowed = ticks_allowed(seconds_until_silent);
  return !is_direct(flow.mode) && ticks_since(flow.client_seen) <= allowed &&
         ticks_since(flow.member_seen) > allowed;
}

// UDP doesn't end by itself, so it has to leave a member that is gone, or that is drained and
// silent.
bool Model::is_stranded(const Flow& flow) const {
  const auto& member = configuration_.members[flow.member];
  return flow.at_client.protocol == udp &&
         (member.is_gone() || (!member.is_usable() && is_member_silent(flow)));
}

bool Model::is_long_over(const Flow& flow) const {
  return flow.both_ended() && ticks_since(flow.client_seen) >= ticks_of_late_packets;
}

// Says whether this end's packets have no next hop: a sweep has taken it away, or it is not
// resolved.
bool Model::misses_hop(const Flow& flow, bool to_client) const {
  if (to_client) return flow.lost_by_member || !flow.client_way.resolved;
  const auto way = way_to(configuration_, configuration_.members[flow.member].address);
  return flow.lost || (way && !way->resolved);
}

// Says whether the sender of this end's next packet is reset, but the flow stays for the other one:
// the connection is idle, or its member's time is over.
bool Model::is_over(const Flow& flow, bool to_client) const {
  if (flow.at_client.protocol != tcp || !misses_hop(flow, to_client)) return false;
  const auto& member = configuration_.members[flow.member];
  if (to_client && member.is_given_up() && !flow.is_over()) return member.is_told();
  return ends_with_resets(flow) && is_idle(flow);
}

// Says whether this SYN or INIT has to go to another member, because this one is too slow.
bool Model::is_late(const Flow& flow, const View& v) const {
  const auto allowed = configuration_.listeners.at(flow.service).connect_time;
  return v.opens && v.fragment != Fragment::later && waits_for_member(flow) && allowed &&
         now_ - noted_begin(flow) >= allowed && ask_.knows_begin(flow);
}

// Handshakes with one member of clients whose addresses end alike, from the same port, are one to
// the data plane: the last one's time counts.
Time Model::noted_begin(const Flow& flow) const {
  const auto name = [](const Flow& f) {
    const auto& source = f.at_client.source;
    return std::tuple(f.service, f.member, f.at_client.source_port, f.at_client.destination_port,
                      Address(source.end() - 4, source.end()));
  };
  auto latest = *flow.opened;
  for (const auto& other : flows_)
    if (other.opened && name(other) == name(flow)) latest = std::max(latest, *other.opened);
  return latest;
}

bool Model::waits_for_member(const Flow& flow) const {
  return flow.opened && !flow.established && !flow.replied && !flow.refused;
}

bool Model::is_late_answer(const View& v) const {
  constexpr Time longest = 63 * second;
  if (!v.accepts) return false;
  const auto late = late_answers_.find(*tuple_of(v));
  return late != late_answers_.end() && now_ - late->second < longest &&
         ask_.expects_late(late->first);
}

// Rates are counted anew. Marks are looked after in the meantime.
void Model::pass(Time ticks) {
  now_ += ticks * tick;
  opened_by_.clear();
  for (auto& flow : flows_)
    for (auto* seen : {&flow.client_seen, &flow.member_seen})
      if (now_ - seen->at > longest_mark) seen->marked = false;
}

void Model::turn(std::size_t member, Standing standing) {
  configuration_.members.at(member).standing = standing;
  sweep();
}

void Model::sweep() {
  for (std::size_t i = 0; i < flows_.size(); ++i)
    if (!flows_[i].forgotten) sweep(i);
}

// Takes an end's next hop away, so that its next packet takes the slow path. What was learned from
// the client's frame goes with it; the kernel's next hop is what is left.
void Model::lose(Flow& flow, bool to_client) {
  (to_client ? flow.lost_by_member : flow.lost) = true;
  const auto back = way_to(configuration_, flow.at_client.source);
  if (to_client && back) flow.client_way = *back;
}

// Removes a UDP session that has to leave its member, and what is idle. What is idle, but ends with
// resets, and what is given up, loses the way to those ends that have to be reset.
void Model::sweep(std::size_t i) {
  auto& flow = flows_[i];
  const auto& member = configuration_.members[flow.member];
  const bool given_up = member.is_given_up() && !flow.is_over() && flow.at_client.protocol != udp;
  const bool idle = is_idle(flow);
  const auto longest = ticks_allowed(idle_seconds(flow)) + ticks_allowed(seconds_over);
  const bool stays = ends_with_resets(flow) && !is_direct(flow.mode) && silence(flow) <= longest;
  if (is_stranded(flow) || (idle && !stays)) return forget(i);
  if (given_up || idle) lose(flow, false);
  if (given_up ? member.is_told() && flow.at_client.protocol == tcp : idle) lose(flow, true);
}

void Model::sweep_short() {
  for (std::size_t i = 0; i < flows_.size(); ++i)
    if (!flows_[i].forgotten) sweep_short(i);
}

// The half seconds of an end's silence, at least. Of an unmarked slot only the tick is known, so
// its packet may have come at the end of it.
Time Model::short_silence(const Seen& seen) const {
  if (seen.marked) return now_ - seen.at;
  return ticks_since(seen) ? now_ - (seen.at | (tick - 1)) : 0;
}

// Marks a slot that has had a packet since the last time, or takes away a mark that tells nothing.
void Model::mark(Seen& seen, bool is_short) const {
  if (seen.marked) {
    seen.marked = is_short && now_ - seen.at <= longest_mark;
  } else if (is_short && ticks_since(seen) <= 1) {
    seen = {now_ - short_silence(seen), true};
  }
}

void Model::sweep_short(std::size_t i) {
  auto& flow = flows_[i];
  const auto seconds = idle_seconds(flow);
  const auto own = configuration_.listeners.at(flow.service).idle_seconds;
  const bool is_short = own && short_limit(own);
  const auto limit = is_short ? short_limit(seconds) : 0;
  const auto silent = is_direct(flow.mode) ? short_silence(flow.client_seen)
                                           : std::min(short_silence(flow.client_seen),
                                                      short_silence(flow.member_seen));
  const auto old = ticks_allowed(seconds) + 1;
  const bool ends = limit && silent >= limit;
  if (ends && !ends_with_resets(flow)) return forget(i);
  const bool is_over = misses_hop(flow, false) && ticks_since(flow.client_seen) >= old;
  if (ends && !is_over) {
    lose(flow, false);
    lose(flow, true);
    flow.client_seen = flow.member_seen = {(now_ / tick - old) * tick};
    return;
  }
  mark(flow.client_seen, is_short);
  mark(flow.member_seen, is_short);
}

}  // namespace sluice::test::reference
