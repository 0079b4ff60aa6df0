#include "reference/model.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "reference/answers.hpp"
#include "reference/proxy.hpp"

namespace sluice::test::reference {
namespace {

constexpr std::uint8_t tcp = 6, udp = 17, sctp = 132;

bool is_balanced(std::uint8_t protocol) {
  return protocol == tcp || protocol == udp || protocol == sctp;
}

bool is_icmp_error(const View& v, std::uint8_t type) {
  if (v.family == 4) return type == 3 || type == 11 || type == 12;
  return type >= 1 && type <= 4;
}

// Says whether no client can have this source (RFC 1122, 3.2.1.3; RFC 4291, 2.5, 2.7).
bool is_martian(const Address& source) {
  if (source.size() == 4) return source[0] == 0 || source[0] == 127 || source[0] >= 224;
  // These are ::, ::1 and IPv4 addresses in IPv6 ones (RFC 4291, 2.5.5), which belong to IPv4
  // clients.
  static const Address zero(10, 0);
  const auto word = read16(source, 10);
  return source[0] == 0xff || (piece(source, 0, 10) == zero && (word == 0 || word == 0xffff));
}

// Ports may change if answers pass us, but not those of an adopted connection.
bool may_change_ports(const Flow& flow) {
  return (flow.mode == Mode::fullnat || (flow.mode == Mode::dnat && !flow.adopted)) &&
         flow.at_client.protocol != sctp;
}

// Says whether nothing ever proves that the client receives answers.
bool is_unproven(const Flow& flow) {
  return flow.at_client.protocol == udp || is_direct(flow.mode);
}

// The checksum's offset in the L4 header; 0: it is not changed on the way.
std::size_t checksum_at(std::uint8_t protocol) {
  return protocol == tcp ? 16 : protocol == udp ? 6 : 0;
}

Bytes ports_of(const Tuple& t) {
  return be16(t.source_port) + be16(t.destination_port);
}

// Updates the checksum of a TCP or UDP header at `l4` after addresses and ports have changed.
void translate_checksum(Bytes& frame, std::size_t l4, const Tuple& from, const Tuple& to) {
  const auto at = l4 + checksum_at(from.protocol);
  const auto old = read16(frame, at);
  if (from.all() == to.all() || (from.protocol == udp && old == 0)) return;
  auto sum = adjusted(old, from.source + from.destination + ports_of(from),
                      to.source + to.destination + ports_of(to));
  if (from.protocol == udp && sum == 0) sum = 0xffff;
  write16(frame, at, sum);
}

// Updates an IPv4 header's checksum after some of its bytes have changed from those in `before`.
void translate_header_checksum(Bytes& frame, std::size_t l3, const Bytes& before) {
  const auto rest = [&](const Bytes& bytes) {
    return piece(bytes, l3, 10) + piece(bytes, l3 + 12, 8);
  };
  if (rest(frame) == rest(before)) return;
  write16(frame, l3 + 10, adjusted(read16(before, l3 + 10), rest(before), rest(frame)));
}

void translate(Bytes& frame, const View& v, const Tuple& from, const Tuple& to) {
  const Bytes before = frame;
  replace(frame, v.addresses_at(), to.source + to.destination);
  if (v.family == 4) translate_header_checksum(frame, v.l3, before);
  if (v.fragment == Fragment::later) return;
  if (checksum_at(v.protocol)) translate_checksum(frame, v.l4, from, to);
  replace(frame, v.l4, ports_of(to));
}

void lower_ttl(Bytes& frame, const View& v) {
  const Bytes before = frame;
  --frame[v.ttl_at()];
  if (v.family == 4) translate_header_checksum(frame, v.l3, before);
}

// The outer id, which differs for each packet and each of its fragments, because the tunnel's
// packet may be fragmented.
std::uint32_t tunnel_id(std::uint32_t id, std::uint32_t fragment) {
  return fragment & 0x4000U ? 0 : (id ^ (fragment & 0x1fffU) * 0x9e37U) & 0xffffU;
}

std::uint64_t mixed(std::uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  return h ^ h >> 33;
}

// The source port of a tunnel's UDP header, by which NICs tell connections apart.
std::uint32_t tunnel_port(const Tuple& t) {
  std::uint64_t source[2]{}, ports = 0;
  std::uint32_t destination[4]{};
  std::memcpy(source, t.source.data(), t.source.size());
  std::memcpy(destination, t.destination.data(), t.destination.size());
  const auto in_memory = be16(t.source_port) + be16(t.destination_port);
  std::memcpy(&ports, in_memory.data(), in_memory.size());
  const auto h = mixed(source[0] + ports) + source[1];
  return 0xc000U | (mixed(h ^ destination[0] ^ destination[3]) & 0x3fffU);
}

// Makes an outer header (RFC 2003, RFC 2473), and behind it a UDP header if it has a port.
Bytes tunnel_header(const Bytes& frame, const View& v, const Address& from, const Address& to,
                    std::optional<std::uint32_t> port) {
  const std::uint32_t ip_bytes = v.family == 6 ? 40U : 20U, udp_bytes = port ? 8U : 0U;
  const std::uint32_t inner =
      read16(frame, v.l3 + (v.family == 6 ? 4 : 2)) + (v.family == 6 ? 40U : 0U);
  const auto protocol = static_cast<std::uint8_t>(port ? 17 : v.family == 6 ? 41 : 4);
  Bytes udp;
  if (port) udp = be16(*port) + be16(6080) + be16(inner + udp_bytes) + be16(0);
  if (v.family == 6)
    return Bytes{frame[v.l3], static_cast<std::uint8_t>(frame[v.l3 + 1] & 0xf0), 0, 0} +
           be16(inner + udp_bytes) + Bytes{protocol, 64} + from + to + udp;
  Bytes header = Bytes{0x45, frame[v.l3 + 1]} + be16(inner + ip_bytes + udp_bytes) +
                 be16(tunnel_id(read16(frame, v.l3 + 4), read16(frame, v.l3 + 6))) +
                 be16(read16(frame, v.l3 + 6) & 0x4000U) + Bytes{64, protocol, 0, 0} + from + to;
  write16(header, 10, internet_checksum(header));
  return header + udp;
}

Bytes ethernet_header(const Way& way, int family) {
  Bytes header(way.next_mac.begin(), way.next_mac.end());
  header.insert(header.end(), way.source_mac.begin(), way.source_mac.end());
  for (const auto& tag : way.tags) header = header + be16(tag.ethertype) + be16(tag.vlan);
  return header + be16(family == 4 ? 0x0800 : 0x86dd);
}

Fate dropped(const std::string& reason) {
  return {Action::drop, reason, {}};
}
Fate passed(const Bytes& frame, const std::string& reason) {
  return {Action::pass, reason, frame};
}
Fate answered(const Bytes& frame, const std::string& reason) {
  return {Action::transmit, reason, frame};
}

Fate time_exceeded(const Bytes& frame, const View& v, const Address& from) {
  if (v.fragment == Fragment::later || !v.header_sum_right) return dropped("ttl_exceeded");
  return answered(error_about(frame, v, from, v.family == 4 ? 11 : 3, 0, 0), "time_exceeded_sent");
}

Fate too_big(const Bytes& frame, const View& v, const Address& from, std::uint32_t mtu) {
  if (v.fragment == Fragment::later || !v.header_sum_right) return dropped("too_big");
  const bool v4 = v.family == 4;
  return answered(error_about(frame, v, from, v4 ? 3 : 2, v4 ? 4 : 0, mtu), "too_big_sent");
}

// The source of an answer of our own: the VIP, if that has the packet's IP version.
Address own_address(const View& v, const Address& vip, bool to_client) {
  return to_client && is_mapped(vip) == is_mapped(v.source) ? vip : v.destination;
}

// Refuses the packet for `reason`, and tells the client if possible.
Fate rejected(const Bytes& frame, const View& v, const std::string& reason) {
  if (v.fragment != Fragment::none || !v.header_sum_right) return dropped(reason);
  const bool v4 = v.family == 4;
  if (v.protocol != tcp)
    return answered(error_about(frame, v, v.destination, v4 ? 3 : 1, v4 ? 3 : 4, 0), "rejected");
  if (v.aborts || v.l4 != v.l3 + v.ip_header_bytes()) return dropped(reason);
  return answered(reset_of(frame, v), "rejected");
}

// Says whether the checksum is what a sender leaves for its NIC to finish, and wrong for that.
// Longer segments are not looked at.
bool is_unfinished(const Bytes& frame, const View& v) {
  constexpr std::size_t longest = 1536;
  const auto at = checksum_at(v.protocol);
  if (!at || v.fragment != Fragment::none || v.l4_bytes > longest ||
      v.l4 + v.l4_bytes > headers_end)
    return false;
  const auto pseudo_header =
      v.source + v.destination + be32(static_cast<std::uint32_t>(v.l4_bytes)) + be32(v.protocol);
  const auto sum = static_cast<std::uint16_t>(~internet_checksum(pseudo_header));
  return read16(frame, v.l4 + at) != 0 && read16(frame, v.l4 + at) == sum &&
         internet_checksum(pseudo_header + piece(frame, v.l4, v.l4_bytes)) != 0;
}

// The packet that an ICMP error is about.
struct Quote {
  std::string defect;
  std::size_t l3 = 0, l4 = 0;
  Tuple tuple;
};

Quote quote_in(const Bytes& frame, const View& v) {
  Quote q;
  q.defect = "malformed_icmp";
  q.l3 = v.l4 + 8;
  const std::size_t address_bytes = v.family == 4 ? 4 : 16;
  const std::size_t addresses = q.l3 + (v.family == 4 ? 12 : 8);
  const std::size_t end = v.l3 + v.l3_bytes;
  if (q.l3 + v.ip_header_bytes() > end) return q;
  if (q.l3 + v.ip_header_bytes() > headers_end) {
    q.defect = "headers_too_long";
    return q;
  }
  if (frame[q.l3] >> 4 != v.family) return q;
  Chain chain;
  if (v.family == 4) {
    if ((frame[q.l3] & 15) < 5) return q;
    chain.end = q.l3 + (frame[q.l3] & 15U) * 4U;
    chain.protocol = frame[q.l3 + 9];
    if (read16(frame, q.l3 + 6) & 0x1fff) chain.fragment = Fragment::later;
  } else {
    chain = walk_chain(frame, q.l3 + 40, frame[q.l3 + 6], end);
    if (chain.defect == "malformed_ipv6") return q;
    if (chain.defect == "headers_too_long") {
      q.defect = chain.defect;
      return q;
    }
  }
  q.l4 = chain.end;
  q.defect = "icmp_no_flow";
  if (!chain.defect.empty() || chain.fragment == Fragment::later || !is_balanced(chain.protocol))
    return q;
  q.defect = "malformed_icmp";
  if (q.l4 + 8 > end) return q;
  q.defect = "headers_too_long";
  if (q.l4 + 8 > headers_end || (q.l4 + 20 > headers_end && q.l4 + 20 <= end)) return q;
  q.defect = "";
  q.tuple = {piece(frame, addresses, address_bytes),
             piece(frame, addresses + address_bytes, address_bytes), read16(frame, q.l4),
             read16(frame, q.l4 + 2), chain.protocol};
  return q;
}

// Translates the quoted packet and updates the message's own checksum.
void translate_quote(Bytes& frame, const View& v, const Quote& q, const Tuple& to) {
  const Bytes before = frame;
  replace(frame, q.l3 + (v.family == 4 ? 12 : 8), to.source + to.destination);
  if (v.family == 4) translate_header_checksum(frame, q.l3, before);
  const auto checksum = checksum_at(q.tuple.protocol);
  if (checksum && q.l4 + checksum + 2 <= v.l3 + v.l3_bytes)
    translate_checksum(frame, q.l4, q.tuple, to);
  replace(frame, q.l4, ports_of(to));
}

}  // namespace

std::optional<Way> way_to(const Configuration& c, const Address& address) {
  if (is_mapped(address)) {
    auto way = way_to(c, unmapped(address));
    if (way) way->mtu += 20;
    return way;
  }
  const Route* best = nullptr;
  for (const auto& route : c.routes) {
    if (route.prefix.size() != address.size()) continue;
    bool fits = true;
    for (unsigned bit = 0; bit < route.bits; ++bit)
      fits = fits && !((route.prefix[bit / 8] ^ address[bit / 8]) & (0x80 >> bit % 8));
    if (fits && (!best || route.bits > best->bits)) best = &route;
  }
  if (!best || !best->way) return {};
  auto way = *best->way;
  if (best->on_link) {
    const auto neighbour = c.neighbours.find(address);
    way.resolved = neighbour != c.neighbours.end();
    if (way.resolved) way.next_mac = neighbour->second;
  }
  return way;
}

void Model::start_again(Time now) {
  now_ = now;
  flows_.clear();
  slots_.clear();
  cursors_.clear();
  fragments_.clear();
  hashed_.clear();
  opened_by_.clear();
  proofs_.clear();
  asked_.clear();
  pending_.clear();
  authenticated_.clear();
  late_answers_.clear();
  persistence_.clear();
  // Room for one more, because the data plane's slow clock may tick once in a sequence.
  for (auto& [client, lags] : lags_)
    if (lags.size() > 1) lags.erase(lags.begin());
}

std::optional<Model::Direction> Model::find(const Tuple& tuple) const {
  const auto slot = slots_.find(tuple);
  if (slot == slots_.end()) return {};
  return slot->second;
}

// Says whether a member can't tell a connection with these answers from another one, whose client
// may have another IP version.
bool Model::is_taken(const Tuple& of_member) const {
  const auto other = of_member.source.size() == 4 ? of_member.mapped() : of_member.unmapped();
  return find(of_member) || find(other);
}

std::optional<Tuple> Model::tuple_of(const View& v) const {
  Tuple tuple{v.source, v.destination, v.source_port, v.destination_port, v.protocol};
  if (v.has_ports) return tuple;
  if (v.fragment != Fragment::later || !is_balanced(v.protocol)) return {};
  constexpr Time longest = 30 * second;
  const auto first = fragments_.find({v.source, v.destination, v.id, v.protocol});
  if (first == fragments_.end() || now_ - first->second.at > longest) return {};
  tuple.source_port = first->second.source_port;
  tuple.destination_port = first->second.destination_port;
  return tuple;
}

void Model::remember_fragment(const View& v) {
  if (v.fragment == Fragment::first)
    fragments_[{v.source, v.destination, v.id, v.protocol}] = {v.source_port, v.destination_port,
                                                               now_};
}

// Says whether a new connection may replace this one on the same ports, in the spirit of RFC 6191:
// it is over for both ends, was never established, or is idle.
bool Model::gives_way(const Flow& flow, const View& v) const {
  const bool may = v.opens || (v.protocol == udp && !flow.established);
  if (!may || v.fragment == Fragment::later) return false;
  const auto& member = configuration_.members[flow.member];
  return flow.both_ended() || (flow.refused && !flow.replied) || is_given_up(flow) ||
         member.is_gone() || is_idle(flow) ||
         (!member.is_usable() && (!flow.established || is_member_silent(flow)));
}

bool Model::is_given_up(const Flow& flow) const {
  return misses_hop(flow, false) && !flow.is_over() &&
         configuration_.members[flow.member].is_given_up();
}

// Gives the flow up and tells its client, if possible and if that has not ended the connection
// itself.
Fate Model::give_up(const Arrival& a, std::size_t flow) {
  auto fate = rejected(a.frame, a.view, "member_down");
  if (fate.reason == "rejected" || a.view.aborts) forget(flow);
  return fate;
}

void Model::forget(std::size_t flow) {
  flows_[flow].forgotten = true;
  if (flows_[flow].proxied && !flows_[flow].established) pending_.erase(flows_[flow].at_client);
  slots_.erase(flows_[flow].at_client);
  slots_.erase(flows_[flow].at_member.turned());
}

// Tracks the flow's state. Any packet may be forged, so no single one is believed for good.
void Model::track(Flow& flow, bool to_client, const View& v) {
  auto& own = to_client ? flow.member_end : flow.client_end;
  if (v.fragment == Fragment::later) return;
  auto& proof = proofs_[flow.at_client];
  if (to_client && !flow.established && (v.accepts || v.confirms) && v.told)
    proof = flow.told = v.told;
  // What only a client that hears its member can know, or a member that has seen that it does.
  const bool direct = is_direct(flow.mode);
  const bool member_is_sure = to_client && flow.replied && !v.ends && !v.accepts &&
                              (v.data || (v.protocol == sctp && v.confirms));
  const bool proven = flow.proxied ? false  // see shake_member()
                      : to_client  ? member_is_sure
                                   : direct || shows(v, proof);
  if (v.protocol == udp) {
    flow.established = flow.established || to_client || flow.replied;
    flow.replied = flow.replied || to_client;
  } else if (v.aborts) {
    if (!flow.established) flow.refused = true;
    if (flow.established) own = End::reset;
  } else if (v.accepts) {
    if (!to_client || flow.established) return;
    flow.replied = true;
    flow.refused = false;
  } else if (v.confirms) {
    if (proven && flow.replied && !flow.established) {
      flow.established = true;
      flow.refused = false;
    }
    // In an adopted connection, the member's packet confirms that it exists.
    if (to_client && !v.ends && !flow.established && !flow.refused) flow.replied = true;
    if (!flow.established) return;
    if (v.ends) {
      own = End::fin;
    } else if (own == End::reset || (own == End::fin && v.data)) {
      own = End::no;
    }
  }
  if (flow.both_ended()) flow.client_end = flow.member_end = End::fin;
}

// Says whether the client shows the number that its member told it.
bool Model::shows(const View& v, std::uint32_t told) const {
  return told != 0 && v.shown == told && ask_.remembers(told);
}

// A member's packet is believed only if it comes from the member's side.
bool Model::believes(const Arrival& a, const Flow& flow, bool to_client) const {
  const auto way = way_to(configuration_, configuration_.members[flow.member].address);
  return !to_client || !way || !way->resolved || way->interface == a.interface;
}

Model::Translation Model::translation(const Flow& flow, bool to_client) const {
  if (to_client) return {flow.at_client.turned(), flow.client_way, {}};
  const auto& member = configuration_.members[flow.member].address;
  const bool direct = is_direct(flow.mode);
  Translation t{
      flow.at_member, *way_to(configuration_, direct ? member : flow.at_member.destination), {}};
  if (flow.mode == Mode::ipip || flow.mode == Mode::gue) {
    t.tunnel = member;
    t.in_udp = flow.mode == Mode::gue;
    t.way.mtu -= (member.size() == 4 ? 20 : 40) + (t.in_udp ? 8 : 0);
  }
  return t;
}

// Forwards the translated frame.
Fate Model::send(const Arrival& a, Bytes frame, const Translation& t,
                 const std::string& reason) const {
  const auto& v = a.view;
  const auto& from = configuration_.interfaces.at(t.way.resolved ? t.way.interface : a.interface);
  Bytes tunnel;
  const auto& own = v.family == 6 ? from.ipv6 : t.way.resolved ? from.ipv4 : v.source;
  if (t.tunnel) {
    const auto tuple = tuple_of(v).value_or(Tuple{v.source, v.destination});
    tunnel = tunnel_header(frame, v, own, *t.tunnel,
                           t.in_udp ? std::optional(tunnel_port(tuple)) : std::nullopt);
  }
  const Bytes packet = tunnel + piece(frame, v.l3, frame.size() - v.l3);
  if (!t.way.resolved) return in_own_version(passed(piece(frame, 0, v.l3) + packet, reason));
  return in_own_version({t.way.interface == a.interface ? Action::transmit : Action::redirect,
                         reason, ethernet_header(t.way, v.family) + packet});
}

// Makes an IPv4 packet of one to an end that speaks IPv4.
Fate Model::in_own_version(Fate fate) const {
  if (fate.action == Action::drop) return fate;
  const auto v = look_at(fate.frame);
  if (!v.ip || v.family != 6 || !is_mapped(v.destination)) return fate;
  const auto made = to_ipv4(fate.frame, v, ask_.id());
  if (!made) return dropped("other_version_packet");
  fate.frame = *made;
  return fate;
}

Fate Model::forward(const Arrival& a, const Translation& t, const std::string& reason,
                    bool to_client) {
  const auto& v = a.view;
  const Tuple from = *tuple_of(v);
  auto way = t;
  std::string why = t.way.resolved ? reason : "next_hop_unresolved";
  if (t.way.resolved && v.l3_bytes > t.way.mtu) {
    if (v.family == 6 || read16(a.frame, v.l3 + 6) & 0x4000)
      return too_big(a.frame, v, own_address(v, t.to.source, to_client), t.way.mtu);
    if (!t.tunnel && from.all() == t.to.all()) return dropped("too_big");
    way.way.resolved = false;  // the kernel fragments it
    why = "left_to_fragment";
  }
  if (!t.way.resolved && !t.tunnel && from.all() == t.to.all()) return dropped("member_unresolved");
  Bytes frame = a.frame;
  if (way.way.resolved || t.tunnel) lower_ttl(frame, v);
  translate(frame, v, from, t.to);
  return send(a, std::move(frame), way, why);
}

std::optional<Fate> Model::known_flow(const Arrival& a) {
  const auto& v = a.view;
  const auto tuple = tuple_of(v);
  const auto direction = tuple ? find(*tuple) : std::nullopt;
  if (!direction) return {};
  if (!v.defect.empty()) return dropped(v.defect);
  auto& flow = flows_[direction->flow];
  const bool makes_way = !direction->to_client && gives_way(flow, v);
  const bool late = !direction->to_client && !makes_way && is_late(flow, v);
  if (late) {
    passed_over_ = flow.member;
    late_answers_[flow.at_member.turned().unmapped()] = now_;
  }
  if (makes_way || late) {
    forget(direction->flow);
    return {};
  }
  const bool begins = v.protocol == tcp ? v.accepts : !flow.established;
  if (direction->to_client && begins && is_unfinished(a.frame, v))
    return dropped("partial_checksum");
  remember_fragment(v);
  if (!direction->to_client && is_given_up(flow)) return give_up(a, direction->flow);
  if (is_over(flow, direction->to_client)) return rejected(a.frame, v, "no_flow");
  const auto t = translation(flow, direction->to_client);
  if (v.ttl <= 1)
    return time_exceeded(a.frame, v, own_address(v, t.to.source, direction->to_client));
  const bool was_established = flow.established;
  Bytes shaken = a.frame;
  if (const auto fate = shake(a, *direction, t, shaken)) return *fate;
  const Arrival now{shaken, a.interface, look_at(shaken)};
  if (t.way.resolved) (direction->to_client ? flow.lost_by_member : flow.lost) = false;
  (direction->to_client ? flow.member_seen : flow.client_seen) = {now_};
  if (believes(a, flow, direction->to_client)) track(flow, direction->to_client, now.view);
  const bool confirmed_now = !was_established && flow.established && !flow.is_over();
  if (confirmed_now) source_confirms(flow);
  if (confirmed_now && is_above_limit(flow)) {
    forget(direction->flow);
    return direction->to_client ? dropped("connection_limit")
                                : rejected(a.frame, v, "connection_limit");
  }
  return forward(now, t, direction->to_client ? "replied" : "forwarded", direction->to_client);
}

std::optional<Pending> Model::pending(const Tuple& client) const {
  const auto known = pending_.find(client);
  return known == pending_.end() ? std::nullopt : std::optional(known->second);
}

// Only the member's answer changes which SYN counts.
void Model::expect(const Tuple& client, std::uint32_t first, bool answered) {
  auto& known = pending_[client];
  if (known.first == first) {
    known.answered = known.answered || answered;
  } else if (answered || !known.answered) {
    known.first = first;
    known.answered = answered;
    known.sent = known.ended = false;
  }
}

namespace {

// TCP options (IANA).
constexpr std::uint8_t mss = 2, window_scale = 3, sack = 5, md5 = 19, authentication = 29,
                       fast_open = 34;

Bytes nothing_instead(const Bytes& option) {
  return Bytes(option.size(), 1);
}

bool is_before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

std::uint32_t read32(const Bytes& bytes, std::size_t at) {
  return std::uint32_t{read16(bytes, at)} << 16 | read16(bytes, at + 2);
}

// A SACK of what the client never sent is none.
void erase_sacks_before(Segment& segment, std::uint32_t first) {
  segment.change_options(sack, [&](const Bytes& option) {
    for (std::size_t at = 2; at + 8 <= option.size(); at += 8)
      if (is_before(read32(option, at), first)) return nothing_instead(option);
    return option;
  });
}

}  // namespace

// A SYN goes to the member with its number lowered by the header.
std::optional<Fate> Model::admit_syn(const Arrival& a, Bytes& frame) {
  const auto& v = a.view;
  if (v.fragment != Fragment::none || v.data) return dropped("proxy_syn");
  Segment segment(frame, v);
  if (segment.has_option(md5) || segment.has_option(authentication)) return dropped("proxy_syn");
  segment.change_options(fast_open, nothing_instead);
  expect(*tuple_of(v), segment.sequence() + 1, false);
  segment.set_sequence(segment.sequence() -
                       static_cast<std::uint32_t>(proxy_header_bytes(v.family)));
  return {};
}

std::optional<Fate> Model::shake(const Arrival& a, Direction direction, const Translation& t,
                                 Bytes& frame) {
  const auto& flow = flows_[direction.flow];
  if (!flow.proxied || a.view.protocol != tcp) return {};
  const bool begins = direction.to_client ? a.view.accepts : a.view.opens;
  if (flow.established && !begins) return {};
  return direction.to_client ? shake_member(a, direction.flow, frame)
                             : shake_client(a, direction.flow, t, frame);
}

std::optional<Fate> Model::shake_client(const Arrival& a, std::size_t index, const Translation& t,
                                        Bytes& frame) {
  const auto& v = a.view;
  const auto client = flows_[index].at_client;
  const auto bytes = static_cast<std::uint32_t>(proxy_header_bytes(v.family));
  if (v.fragment != Fragment::none) return dropped("proxy_header");
  if (v.opens) return admit_syn(a, frame);
  Segment segment(frame, v);
  const auto known = pending_.find(client);
  if (v.aborts) {
    if (known != pending_.end() && !known->second.sent && segment.sequence() == known->second.first)
      segment.set_sequence(known->second.first - bytes);
    return {};
  }
  if (segment.flags() & SYN) return dropped("proxy_syn");
  if (known == pending_.end() || !known->second.answered) return dropped("proxy_header");
  const auto& listener = configuration_.listeners.at(flows_[index].service);
  if (listener.limit && confirmed(flows_[index].service) >= *listener.limit &&
      shows(v, proofs_[client])) {
    forget(index);
    return rejected(a.frame, v, "connection_limit");
  }
  auto& pending = known->second;
  const auto distance = static_cast<std::int32_t>(segment.sequence() - pending.first);
  const bool fin = segment.flags() & FIN;
  if (distance < -1 || (distance == -1 && (v.data || fin))) return dropped("proxy_header");
  pending.ended = pending.ended || fin;
  if (distance > 0) return {};
  if (t.way.resolved && v.l3_bytes + bytes > t.way.mtu) {
    if (pending.sent) return {};
    if (v.family == 6 || read16(a.frame, v.l3 + 6) & 0x4000)
      return too_big(a.frame, v, v.destination, t.way.mtu - bytes);
  }
  pending.sent = true;
  if (v.l4 + segment.header_bytes() > 256) return dropped("no_headroom");
  segment.set_sequence(pending.first - bytes);
  segment.insert(proxy_header(v), v.l4_bytes);
  return {};
}

std::optional<Fate> Model::member_accepts(const Arrival& a, std::size_t index, Bytes& frame) {
  const auto& v = a.view;
  auto& flow = flows_[index];
  const auto bytes = static_cast<std::uint32_t>(proxy_header_bytes(v.family));
  if (!believes(a, flow, true) || v.fragment != Fragment::none) return dropped("proxy_answer");
  Segment segment(frame, v);
  const auto first = segment.acknowledgement() + bytes;
  if (flow.established) {
    const auto known = pending(flow.at_client);
    if (known && known->first == first) forget(index);
    return dropped("proxy_answer");
  }
  expect(flow.at_client, first, true);
  segment.set_acknowledgement(first);
  segment.shrink_window(bytes);
  segment.change_options(fast_open, nothing_instead);
  auto& pending = pending_[flow.at_client];
  pending.window_shift = 0;
  segment.change_options(window_scale, [&](const Bytes& option) {
    if (option.size() == 3) pending.window_shift = std::min<unsigned>(option[2], 14);
    return option;
  });
  segment.change_options(mss, [&](const Bytes& option) {
    if (option.size() != 4 || read16(option, 2) <= bytes) return option;
    return Bytes{mss, 4} + be16(read16(option, 2) - bytes);
  });
  return {};
}

std::optional<Fate> Model::shake_member(const Arrival& a, std::size_t index, Bytes& frame) {
  const auto& v = a.view;
  auto& flow = flows_[index];
  if (v.fragment == Fragment::later) return {};
  if (v.accepts) return member_accepts(a, index, frame);
  const auto known = pending_.find(flow.at_client);
  Segment segment(frame, v);
  if (known == pending_.end() || !(segment.flags() & ACK)) return {};
  const auto pending = known->second;
  const auto missing = static_cast<std::int32_t>(pending.first - segment.acknowledgement());
  if (missing > static_cast<std::int32_t>(proxy_header_bytes(v.family))) return {};
  if (missing > 0) {
    segment.set_acknowledgement(pending.first);
    const auto unit = 1U << pending.window_shift;
    if (!v.aborts) segment.shrink_window((static_cast<std::uint32_t>(missing) + unit - 1) / unit);
  }
  erase_sacks_before(segment, pending.first);
  if (missing > 0 || v.aborts || !pending.answered || !flow.replied || !believes(a, flow, true))
    return {};
  flow.established = true;
  flow.refused = false;
  pending_.erase(flow.at_client);
  if (pending.ended) flow.client_end = End::fin;
  return {};
}

// Shows a client the number that it gave the packet which an error quotes.
void Model::show_quoted(Bytes& frame, std::size_t l4, const Flow& flow, bool to_client) const {
  const auto known = pending(flow.at_client);
  if (!flow.proxied || !to_client || flow.established || !known) return;
  const auto bytes =
      static_cast<std::int32_t>(proxy_header_bytes(flow.at_client.source.size() == 4 ? 4 : 6));
  const auto missing = static_cast<std::int32_t>(known->first - read32(frame, l4 + 4));
  if (missing <= 0 || missing > bytes + 1) return;
  replace(frame, l4 + 4, be32(missing > bytes ? known->first - 1 : known->first));
}

std::optional<Fate> Model::icmp_error(const Arrival& a) {
  const auto& v = a.view;
  if (!v.defect.empty() || v.fragment != Fragment::none || !v.is_icmp() ||
      !is_icmp_error(v, a.frame[v.l4]))
    return {};
  const auto quote = quote_in(a.frame, v);
  const auto direction = quote.defect.empty() ? find(quote.tuple.turned()) : std::nullopt;
  const bool is_of_ipv6 =
      quote.defect.empty() && !direction && v.family == 4 && find(quote.tuple.turned().mapped());
  const bool is_known = direction || is_of_ipv6;
  // An error goes to the packet's sender; an error to the host itself is the host's.
  const bool misdirected = is_known && v.destination != quote.tuple.source;
  if (!is_known || misdirected) {
    const auto vip = configuration_.vips.find(unmapped(v.destination));
    if (vip == configuration_.vips.end()) return passed(a.frame, "not_ours");
    if (!vip->second.up) return dropped("vip_down");
    if (misdirected) return dropped("icmp_misdirected");
    return dropped(quote.defect.empty() ? "icmp_no_flow" : quote.defect);
  }
  if (!is_mapped(v.destination) &&
      (is_martian(v.source) || is_vip(v.source) || v.source == v.destination))
    return dropped("martian_source");
  if (is_of_ipv6) return decide_as_ipv6(a);
  if (v.ttl <= 1) return dropped("ttl_exceeded");
  auto& flow = flows_[direction->flow];
  const auto t = translation(flow, direction->to_client);
  // Until the next sweep.
  if (t.way.resolved) (direction->to_client ? flow.lost_by_member : flow.lost) = false;
  if (!t.way.resolved && !direction->to_client && flow.mode == Mode::dsr)
    return dropped("member_unresolved");
  Bytes frame = a.frame;
  if (t.way.resolved || t.tunnel) lower_ttl(frame, v);
  translate_quote(frame, v, quote, t.to.turned());
  show_quoted(frame, quote.l4, flow, direction->to_client);
  // The error's source becomes the VIP, except toward members that see the client's address.
  const auto source = direction->to_client || flow.mode == Mode::fullnat ? t.to.source : v.source;
  const Bytes before = frame;
  replace(frame, v.addresses_at(), source + t.to.destination);
  if (v.family == 4) translate_header_checksum(frame, v.l3, before);
  const auto message = [&](const Bytes& bytes) {
    const auto covered = piece(bytes, v.l4, 2) + piece(bytes, v.l4 + 4, v.l4_bytes - 4);
    return v.family == 4 ? covered : piece(bytes, v.addresses_at(), 32) + covered;
  };
  if (message(frame) != message(a.frame))
    write16(frame, v.l4 + 2, adjusted(read16(a.frame, v.l4 + 2), message(a.frame), message(frame)));
  return send(a, std::move(frame), t, t.way.resolved ? "icmp_forwarded" : "next_hop_unresolved");
}

bool Model::is_full(std::size_t member) const {
  const auto& most = configuration_.members[member].most;
  return most && count_flows([&](const Flow& flow) {
                   return flow.member == member && flow.established;
                 }) >= *most;
}

std::vector<std::size_t> Model::usable_members(std::size_t pool) const {
  std::vector<std::size_t> usable;
  for (const auto member : configuration_.pools[pool].members)
    if (configuration_.members[member].is_usable()) usable.push_back(member);
  return usable;
}

// A member that has not answered this client in time counts as full.
bool Model::is_out(std::size_t member) const {
  return member == passed_over_ || is_full(member);
}

std::optional<std::size_t> Model::choose(std::size_t pool, const Arrival& a) {
  const auto lasts = configuration_.pools[pool].persistence;
  if (!lasts) return choose_by_algorithm(pool, a);
  const auto last = persistence_.find({pool, a.view.source});
  const bool counts = last != persistence_.end() && now_ - last->second.second <= lasts &&
                      configuration_.members[last->second.first].is_usable() &&
                      !is_out(last->second.first);
  const auto member = counts ? last->second.first : choose_by_algorithm(pool, a);
  if (member) persistence_[{pool, a.view.source}] = {*member, now_};
  return member;
}

// A member that is passed over gets the connection nevertheless if no other one takes it.
std::optional<std::size_t> Model::choose_by_algorithm(std::size_t pool, const Arrival& a) {
  if (const auto member = choose_by_ring(pool, a); member || !passed_over_) return member;
  passed_over_.reset();
  return choose_by_ring(pool, a);
}

// A member that is full is passed over.
std::optional<std::size_t> Model::choose_by_ring(std::size_t pool, const Arrival& a) {
  const auto ring = usable_members(pool);
  if (ring.empty()) return {};
  if (configuration_.pools[pool].algorithm == Algorithm::least_connections)
    return by_connections(pool, ring);
  auto not_full = ring;
  std::erase_if(not_full, [&](std::size_t member) { return is_out(member); });
  if (configuration_.pools[pool].hashes())
    return not_full.empty() ? std::nullopt
                            : std::optional(by_hash(pool, *tuple_of(a.view), ring, not_full));
  const auto first = cursors_[pool]++;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    const auto member = ring[(first + i) % ring.size()];
    if (!is_out(member)) return member;
  }
  return {};
}

// The data plane is free to choose once; then a client goes to the same member as long as the same
// ones are usable and full. Its choice for a connection that was refused is unknown: if a flow is
// in the way at some member, it was that member.
std::size_t Model::by_hash(std::size_t pool, const Tuple& client,
                           const std::vector<std::size_t>& ring,
                           const std::vector<std::size_t>& not_full) {
  const bool by_port = configuration_.pools[pool].algorithm == Algorithm::source_ip_port;
  const auto [known, is_new] =
      hashed_.emplace(std::tuple{pool, client.source,
                                 by_port ? client.source_port : std::uint16_t{0}, ring, not_full},
                      not_full.front());
  if (!is_new) return known->second;
  const auto chosen = ask_.choice(client);
  for (const auto member : not_full) {
    const auto& [address, port, standing, most] = configuration_.members[member];
    const Tuple reply{address, client.source, port, client.source_port, client.protocol};
    if (chosen ? address == chosen->destination : find(reply).has_value()) known->second = member;
  }
  const auto member = known->second;
  if (!chosen) hashed_.erase(known);
  return member;
}

// The member at which one more connection weighs least; among several, the first one in the ring's
// order.
std::optional<std::size_t> Model::by_connections(std::size_t pool,
                                                 const std::vector<std::size_t>& ring) {
  const auto& c = configuration_.pools[pool];
  const auto first = cursors_[pool]++ % ring.size();
  std::optional<std::size_t> best;
  double least = 0;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    const auto member = ring[(first + i) % ring.size()];
    if (is_out(member)) continue;
    const auto place = std::find(c.members.begin(), c.members.end(), member) - c.members.begin();
    const auto connections = count_flows([&](const Flow& flow) { return flow.member == member; });
    const double load = static_cast<double>(connections + 1) /
                        static_cast<double>(c.weights[static_cast<std::size_t>(place)]);
    if (best && load >= least) continue;
    best = member;
    least = load;
  }
  return best;
}

// Counts flows that are not over.
template <typename Predicate>
std::size_t Model::count_flows(Predicate is_counted) const {
  return static_cast<std::size_t>(
      std::count_if(flows_.begin(), flows_.end(),
                    [&](const Flow& flow) { return !flow.is_over() && is_counted(flow); }));
}

// The reason why the listener refuses a connection from there; empty: it doesn't.
std::string Model::refusal(const Service& service, const Listener& listener,
                           const Address& source) {
  if (listener.allowed && *listener.allowed != source) return "not_allowed";
  if (listener.limit && confirmed(service) >= *listener.limit) return "connection_limit";
  if (listener.source_limit && ++opened_by_[{service, source}] > *listener.source_limit)
    return "rate_limited";
  return "";
}

std::size_t Model::confirmed(const Service& service) const {
  return count_flows([&](const Flow& flow) { return flow.service == service && flow.established; });
}

// Says whether the flow exceeds the limit, because many were admitted before the first was
// confirmed.
bool Model::is_above_limit(const Flow& flow) const {
  const auto& limit = configuration_.listeners.at(flow.service).limit;
  return limit && confirmed(flow.service) > *limit;
}

std::size_t Model::half_open(const Address& client) const {
  return count_flows([&](const Flow& flow) {
    return !flow.established && flow.at_client.source.size() == client.size();
  });
}

std::size_t Model::half_open(const Service& service) const {
  return count_flows(
      [&](const Flow& flow) { return !flow.established && flow.service == service; });
}

// Each listener's own share of the half-open room: others may take from those that exceed it.
std::size_t Model::share_of_listener(const Address& client) const {
  return room_of(client).half_open / 16;
}

bool Model::authenticates(const Service& service, const Listener& listener) const {
  return listener.authentication == Authentication::always ||
         (listener.authentication == Authentication::crowded &&
          half_open(service) > share_of_listener(std::get<0>(service)) / 2);
}

// The number that a client has shown; nullopt: none.
std::optional<std::uint32_t> Model::proof(const Tuple& client) const {
  const auto known = proofs_.find(client);
  return known == proofs_.end() ? std::nullopt : std::optional(known->second);
}

// Decides on a SYN or reset for a listener that authenticates; nullopt: the SYN goes on.
std::optional<Fate> Model::authenticate(const Arrival& a, const Listener& listener) {
  constexpr std::size_t most_of_a_source = 16;
  const auto& v = a.view;
  const auto client = *tuple_of(v);
  if (v.aborts) {
    proofs_[client] = v.sequence;
    return dropped("syn_proven");
  }
  const auto& lags = lags_[client];
  const auto shown = proof(client);
  if (shown && std::count(lags.begin(), lags.end(), v.sequence - *shown) &&
      ask_.remembers(*shown)) {
    if (authenticated_[v.source] >= most_of_a_source) return dropped("source_half_open");
    ++authenticated_[v.source];
    return {};
  }
  if (listener.allowed && *listener.allowed != v.source) return dropped("not_allowed");
  return answer_syn(a);
}

// Answers by a number that is 1 to 32768 less than the client's, always by as much to the same
// client (but for the data plane's slow clock, which may tick once).
Fate Model::answer_syn(const Arrival& a) {
  constexpr std::size_t least_rate = 1000;
  const auto& v = a.view;
  const auto acknowledged = ask_.syn_answer();
  if (v.fragment != Fragment::none || v.l4 != v.l3 + v.ip_header_bytes() ||
      (!acknowledged && answered_syns_ >= least_rate))
    return dropped("syn_answer_limit");
  ++answered_syns_;
  auto& lags = lags_[*tuple_of(v)];
  const auto lag = v.sequence - acknowledged.value_or(v.sequence);
  const bool is_known = std::count(lags.begin(), lags.end(), lag) > 0;
  const bool is_allowed = is_known || (lag >= 1 && lag <= 0x8000 && lags.size() < 2);
  if (is_allowed && !is_known) lags.push_back(lag);
  const auto number = is_allowed ? *acknowledged : v.sequence;
  asked_[*tuple_of(v)] = {v.sequence, number};
  return answered(syn_answer_to(a.frame, v, number), "syn_answered");
}

// A connection that is confirmed now is none of its address's authenticated ones any more.
void Model::source_confirms(const Flow& flow) {
  if (configuration_.listeners.at(flow.service).authentication == Authentication::off) return;
  auto& now = authenticated_[flow.at_client.source];
  if (now > 0) --now;
}

// Says whether the flow may have no room.
bool Model::is_crowded(const Flow& flow) const {
  const auto& client = flow.at_client.source;
  const auto taken = std::count_if(slots_.begin(), slots_.end(), [&](const auto& slot) {
    return slot.first.source.size() == client.size();
  });
  const bool two_slots = flow.mode == Mode::fullnat || flow.mode == Mode::dnat;
  return static_cast<std::size_t>(taken) + (two_slots ? 1 : 0) >= room_of(client).window;
}

// Evicts a flow that is idle, that both ends have ended some ticks ago, or that its client has not
// confirmed, or can't confirm, be it over or not. If there are too many half-open flows, evicts one
// of these, of a listener that has more than its share unless there are far too many, or an idle
// one. Returns false if there is none. Of several the one that guards the new flow's port comes
// last: it may have gone for the port's sake.
bool Model::one_gave_way(const Flow& for_flow, bool half_open) {
  const auto& client = for_flow.at_client.source;
  const auto limit = room_of(client).half_open;
  const bool shares_count = half_open && this->half_open(client) < limit + limit / 2;
  const auto guard = guard_of_port(for_flow);
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < flows_.size() && (!found || found == guard); ++i) {
    const auto& flow = flows_[i];
    const bool stays = half_open ? flow.established || flow.is_over()
                                 : flow.established && !is_unproven(flow) && !is_long_over(flow);
    if (flow.forgotten || flow.at_client.source.size() != client.size() ||
        (stays && !is_idle(flow)) || ask_.choice(flow.at_client))
      continue;
    if (shares_count && !is_idle(flow) &&
        this->half_open(flow.service) <= share_of_listener(client))
      continue;
    if (!found || i != guard) found = i;
  }
  if (!found) return false;
  forget(*found);
  ++made_way_;
  return true;
}

// The flow that guards this one's port toward the member, if it can have no other one.
std::optional<std::size_t> Model::guard_of_port(const Flow& flow) const {
  if (is_direct(flow.mode) || may_change_ports(flow)) return {};
  const auto holder = find(flow.at_member.turned());
  return holder ? std::optional(holder->flow) : std::nullopt;
}

// Evicts a flow that guards the port, but is idle, was ended by both ends some ticks ago, or was
// not confirmed: it was reset, or has been silent for some ticks. (No sequence is long enough to
// use up the other ports.)
void Model::port_makes_way(const Flow& flow) {
  const auto guard = guard_of_port(flow);
  if (!guard) return;
  const auto& other = flows_[*guard];
  const bool is_old = silence(other) >= ticks_of_late_packets;
  const bool makes_way = is_idle(other) || (other.established ? other.both_ended() && is_old
                                                              : other.is_over() || is_old);
  if (!makes_way || ask_.choice(other.at_client)) return;
  forget(*guard);
  ++made_way_;
}

// The client's own port if it may be kept, otherwise the data plane's choice, which is privileged
// if the client's is.
std::optional<std::uint16_t> Model::source_port(const Flow& flow) const {
  const auto is_free = [&](std::uint16_t port) {
    auto tuple = flow.at_member;
    tuple.source_port = port;
    return !is_taken(tuple.turned());
  };
  const auto own = flow.at_client.source_port;
  if (!may_change_ports(flow)) return is_free(own) ? std::optional(own) : std::nullopt;
  if (own != 0 && is_free(own)) return own;
  const auto chosen = ask_.choice(flow.at_client);
  if (!chosen || (chosen->source_port < 1024) != (own < 1024) || chosen->source_port < 512 ||
      !is_free(chosen->source_port))
    return {};
  return chosen->source_port;
}

// One of these sources, as the data plane has chosen. If it has made no flow, none of them
// may have had the client's port free.
Address Model::source_toward_member(const std::vector<Address>& sources, const Flow& flow) const {
  if (sources.empty()) return flow.at_client.destination;
  const auto chosen = ask_.choice(flow.at_client);
  const auto fits = [&](const Address& source) {
    auto tuple = flow.at_member;
    tuple.source = source;
    return chosen ? chosen->source == source : !is_taken(tuple.turned());
  };
  const auto found = std::ranges::find_if(sources, fits);
  return found == sources.end() ? sources.front() : *found;
}

// Until the kernel knows the client, answers go to the MAC from which its frame came, if they leave
// by that interface. The data plane answers ARP for the VIP, so the kernel may never have heard of
// a client on the link.
std::optional<Way> Model::way_to_client(const Arrival& a) const {
  auto way = way_to(configuration_, a.view.source);
  if (!way || way->resolved || way->interface != a.interface) return way;
  Bytes tags_of_way;
  for (const auto& tag : way->tags)
    tags_of_way = tags_of_way + be16(tag.ethertype) + be16(tag.vlan);
  if (piece(a.frame, 12, a.view.l3 - 14) != tags_of_way) return way;
  way->resolved = true;
  std::copy_n(a.frame.begin(), 6, way->source_mac.begin());
  std::copy_n(a.frame.begin() + 6, 6, way->next_mac.begin());
  way->mtu = 0xffff;
  return way;
}

// The service with the packet's port, or with a range that has it.
const Service* Model::service_for(const Tuple& tuple) const {
  const auto& listeners = configuration_.listeners;
  const auto vip = unmapped(tuple.destination);
  const auto exact = listeners.find({vip, tuple.destination_port, tuple.protocol});
  if (exact != listeners.end()) return &exact->first;
  for (const auto& [service, listener] : listeners) {
    const auto& [address, port, protocol] = service;
    if (address == vip && protocol == tuple.protocol && port <= tuple.destination_port &&
        tuple.destination_port <= listener.last_port)
      return &service;
  }
  return nullptr;
}

// The fragments of a datagram go to one member, which its id says.
std::optional<std::size_t> Model::choose_for_datagram(std::size_t pool, const Arrival& a) {
  const auto ring = usable_members(pool);
  if (a.view.fragment == Fragment::none || ring.empty()) return choose(pool, a);
  std::uint64_t source[2]{};
  std::memcpy(source, a.view.source.data(), a.view.source.size());
  const bool v4 = a.view.source.size() == 4;  // the id as it lies in the packet
  const std::uint32_t id = v4 ? htons(static_cast<std::uint16_t>(a.view.id)) : htonl(a.view.id);
  const auto hash = (mixed(mixed(source[0]) + source[1]) >> 32) ^ (mixed(id) >> 32);
  return ring[static_cast<std::uint32_t>(hash) % ring.size()];
}

Fate Model::open(const Arrival& a, const Service& service, bool adopted) {
  const auto& v = a.view;
  const auto& listener = configuration_.listeners.at(service);
  const auto member =
      listener.per_packet ? choose_for_datagram(listener.pool, a) : choose(listener.pool, a);
  if (!member) {
    const auto* why = usable_members(listener.pool).empty() ? "no_member" : "member_full";
    return listener.resets ? rejected(a.frame, v, why) : dropped(why);
  }
  const auto& chosen = configuration_.members[*member];
  const auto mode = configuration_.pools[listener.pool].mode;
  const bool other_version = chosen.address.size() != std::get<0>(service).size();
  if (other_version &&
      (mode != Mode::fullnat || v.protocol == sctp || configuration_.pools[listener.pool].proxied))
    return dropped("no_member");
  auto sources = other_version ? listener.other_sources : listener.sources;
  if (other_version && sources.empty()) return dropped("other_version_source");
  if (v.protocol == sctp && chosen.port && chosen.port != v.destination_port)
    return dropped("sctp_ports");
  const bool direct = is_direct(mode);
  const auto back = way_to_client(a);
  if (!way_to(configuration_, chosen.address) || (!direct && !listener.per_packet && !back))
    return dropped("no_route");
  if (listener.per_packet) {
    Flow passing;
    passing.mode = mode;
    passing.member = *member;
    passing.at_client = passing.at_member = *tuple_of(v);
    if (!direct) {
      passing.at_member.destination = chosen.address;
      if (chosen.port) passing.at_member.destination_port = chosen.port;
    }
    remember_fragment(v);
    return forward(a, translation(passing, false), "datagram_forwarded", false);
  }
  const bool proxied = configuration_.pools[listener.pool].proxied;
  Bytes frame = a.frame;
  if (proxied) {
    if (const auto fate = admit_syn(a, frame)) return *fate;
  }
  const auto failed = [&](const char* why) {
    if (proxied) pending_.erase(*tuple_of(v));
    return dropped(why);
  };
  Flow flow;
  flow.mode = mode;
  flow.service = service;
  flow.member = *member;
  flow.at_client = flow.at_member = *tuple_of(v);
  flow.adopted = adopted;
  flow.proxied = proxied;
  flow.replied = direct;
  flow.client_seen = flow.member_seen = {now_};
  if (v.opens) flow.opened = now_;
  if (back) flow.client_way = *back;
  if (!direct) {
    const auto in_flow = [&](const Address& address) {
      return v.family == 6 && address.size() == 4 ? mapped(address) : address;
    };
    for (auto& source : sources) source = in_flow(source);
    flow.at_member.destination = in_flow(chosen.address);
    if (chosen.port) flow.at_member.destination_port = chosen.port;
  }
  if (mode == Mode::fullnat) flow.at_member.source = source_toward_member(sources, flow);
  // If none in its window can be evicted, the limit may be exceeded, up to half as many again.
  const auto limit = room_of(v.source).half_open;
  if (half_open(v.source) >= limit && !one_gave_way(flow, true) &&
      half_open(v.source) >= limit + limit / 2)
    return failed("half_open_full");
  const bool crowded = is_crowded(flow);
  for (int slots = direct ? 1 : 2; crowded && slots > 0; --slots) one_gave_way(flow, false);
  const bool is_full = crowded && !ask_.choice(flow.at_client);
  if (!direct) {
    port_makes_way(flow);
    const auto port = source_port(flow);
    if (!port) return failed(is_full && may_change_ports(flow) ? "flow_table_full" : "no_port");
    flow.at_member.source_port = *port;
  }
  if (is_full) return failed("flow_table_full");
  if (!direct) slots_[flow.at_member.turned()] = {flows_.size(), true};
  slots_[flow.at_client] = {flows_.size(), false};
  flows_.push_back(flow);
  remember_fragment(v);
  return forward({frame, a.interface, look_at(frame)}, translation(flow, false), "flow_created",
                 false);
}

Fate Model::for_vip(const Arrival& a, const Vip& vip) {
  const auto& v = a.view;
  if (!v.defect.empty()) return dropped(v.defect);
  if (!vip.up) return dropped("vip_down");
  if (!is_mapped(v.destination) && (is_martian(v.source) || is_vip(v.source)))
    return dropped("martian_source");
  if (!v.header_sum_right) return dropped("ipv4_checksum");
  if (v.family == 4 && opens_ipv6_flow(v)) return decide_as_ipv6(a);
  const auto known = tuple_of(v);
  const auto* service = known ? service_for(*known) : nullptr;
  const bool per_packet = service && configuration_.listeners.at(*service).per_packet;
  if ((v.fragment == Fragment::later && !per_packet) ||
      (v.fragment == Fragment::first && v.is_icmp()))
    return dropped("fragment_without_first");
  if (v.is_icmp()) {
    if (vip.standby) return dropped("vip_standby");
    const auto answer = echo_answer(a.frame, v, configuration_.interfaces.at(a.interface).mac);
    return answer ? answered(*answer, "echo_answered") : dropped("unsupported_protocol");
  }
  if (!is_balanced(v.protocol)) return dropped("unsupported_protocol");
  const bool tells = vip.rejects || is_late_answer(v);
  if (!service) return tells ? rejected(a.frame, v, "no_listener") : dropped("no_listener");
  const auto& listener = configuration_.listeners.at(*service);
  const auto& pool = configuration_.pools[listener.pool];
  if (v.protocol == tcp && (v.opens || v.aborts) && authenticates(*service, listener)) {
    if (const auto fate = authenticate(a, listener)) return *fate;
  }
  const bool opens = v.protocol == udp || v.opens;
  const bool adopted =
      !opens && pool.hashes() && pool.mode != Mode::fullnat && !v.accepts && !v.ends && !v.aborts;
  if (!opens && !adopted) return tells ? rejected(a.frame, v, "no_flow") : dropped("no_flow");
  if (v.ttl <= 1) return time_exceeded(a.frame, v, v.destination);
  if (const auto why = refusal(*service, listener, v.source); !why.empty()) return dropped(why);
  if (v.fragment != Fragment::later && is_unfinished(a.frame, v))
    return dropped("partial_checksum");
  return open(a, *service, adopted);
}

// A client's packet to a member's own address must not look there like its connection through a
// VIP, unless that makes way for it.
Fate Model::for_others(const Arrival& a) {
  const auto& v = a.view;
  if (!v.defect.empty() || !v.has_ports || (!v.opens && v.protocol != udp))
    return passed(a.frame, "not_ours");
  const auto direction = find(tuple_of(v)->turned());
  if (!direction || !direction->to_client) return passed(a.frame, "not_ours");
  if (gives_way(flows_[direction->flow], v)) {
    forget(direction->flow);
    return passed(a.frame, "not_ours");
  }
  return rejected(a.frame, v, "tuple_in_use");
}

// Says whether an IPv4 packet is of a connection whose other end speaks IPv6.
bool Model::is_of_ipv6_flow(const View& v) const {
  const auto tuple = v.family == 4 ? tuple_of(v) : std::nullopt;
  return tuple && find(tuple->mapped());
}

// Says whether an IPv4 packet may open one.
bool Model::opens_ipv6_flow(const View& v) const {
  const auto tuple = tuple_of(v);
  if (!tuple) return false;
  const auto* service = service_for(*tuple);
  if (!service) return false;
  const auto& members = configuration_.pools[configuration_.listeners.at(*service).pool].members;
  return std::ranges::any_of(members, [&](std::size_t member) {
    return configuration_.members[member].address.size() == 16;
  });
}

// Decides on the IPv6 packet that an IPv4 packet becomes. What it is answered by is IPv4 again.
Fate Model::decide_as_ipv6(const Arrival& a) {
  if (!a.view.header_sum_right) return dropped("ipv4_checksum");
  const auto frame = to_ipv6(a.frame, a.view);
  if (!frame) return dropped("other_version_packet");
  remember_fragment(a.view);
  return in_own_version(decide({*frame, a.interface, look_at(*frame)}));
}

Fate Model::receive(const Bytes& frame, const std::string& interface) {
  if (frame.size() < 14) return passed(frame, "malformed_ethernet");
  const Arrival a{frame, interface, look_at(frame)};
  const auto& v = a.view;
  passed_over_.reset();
  const Mac& mac = configuration_.interfaces.at(interface).mac;
  const bool to_us = std::equal(mac.begin(), mac.end(), frame.begin());
  if (!to_us && !(frame[0] & 1)) return passed(frame, "not_our_mac");
  Address target;
  if (v.ethertype == 0x0806) {
    const auto answer = arp_answer(frame, v, mac, &target);
    if (answer && answers_for(target)) return answered(*answer, "arp_answered");
    return passed(frame, "not_ours");
  }
  const auto neighbour = neighbour_answer(frame, v, mac, &target);
  if (neighbour && answers_for(target)) return answered(*neighbour, "nd_answered");
  if (!to_us) return passed(frame, "not_our_mac");
  if (!v.ip || is_mapped(v.destination)) return passed(frame, "not_ours");
  return decide(a);
}

Fate Model::decide(const Arrival& a) {
  const auto& v = a.view;
  if (const auto fate = known_flow(a)) return *fate;
  if (is_of_ipv6_flow(v)) return v.defect.empty() ? decide_as_ipv6(a) : dropped(v.defect);
  if (const auto fate = icmp_error(a)) return *fate;
  const auto vip = configuration_.vips.find(unmapped(v.destination));
  return vip == configuration_.vips.end() ? for_others(a) : for_vip(a, vip->second);
}

}  // namespace sluice::test::reference
