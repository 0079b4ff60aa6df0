#include "reference/generator.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace sluice::test::reference {
namespace {

const Mac router{0x02, 0, 0, 0, 0, 0x01};
const Mac somebody{0x02, 0, 0, 0, 0, 0x77};

const char* const clients4[] = {"203.0.113.5", "198.51.100.7", "10.0.0.77"};
const char* const clients6[] = {"2001:db8:c::5", "2001:db8:d::7", "2001:db8::77"};
// There are a few ordinary ports, so that connections collide, and some that may not be kept.
const std::uint16_t client_ports[] = {40000, 40001, 40002, 40003, 1024,
                                      1023,  80,    8080,  5000,  65535};
const std::uint8_t tcp_flags[] = {SYN,       SYN,       ACK, ACK,       ACK | PSH,
                                  FIN | ACK, SYN | ACK, RST, RST | ACK, 0,
                                  SYN | FIN, SYN | RST, FIN, 0xff,      SYN | 0xc0};
const std::uint8_t chunks[] = {1, 1, 2, 10, 11, 0, 3, 6, 7, 8, 14, 255};

Bytes extension(std::uint8_t type, std::size_t units) {
  Bytes header(8 * (units + 1), 1);  // PadN and the like, which nobody on the way reads
  header[0] = type;
  header[1] = static_cast<std::uint8_t>(units);
  return header;
}

// Says whether members of such connections see the client's own port, so that two may be one to
// them.
bool keeps_port(Mode mode, std::uint8_t protocol) {
  return mode == Mode::dnat ||
         (mode == Mode::fullnat && protocol == static_cast<std::uint8_t>(L4::sctp));
}

}  // namespace

void Generator::address(Packet& packet, const std::string& interface) {
  packet.destination_mac = configuration().interfaces.at(interface).mac;
  if (chance(5)) packet.tags = {{0x8100, static_cast<std::uint16_t>(below(4096))}};
  if (chance(2)) packet.tags = {{0x88a8, 7}, {0x8100, 8}};
  if (chance(1)) packet.tags = {{0x88a8, 7}, {0x8100, 8}, {0x8100, 9}};
}

// Varies the packet as an honest sender may.
void Generator::vary(Packet& p) {
  static const std::uint8_t odd_ttls[] = {255, 2, 1, 0};
  static const std::uint8_t extension_types[] = {0, 43, 60};
  static const std::size_t sizes[] = {0, 1, 7, 100, 129, 700, 1340, 1400, 1440, 1460};
  // The last ones end near the limit of parsing, alone or after a full header of 2048 bytes.
  static const std::size_t long_headers[] = {255, 255, 127, 128, 119, 120, 121, 115, 116};
  p.ttl = static_cast<std::uint8_t>(chance(88) ? 64 : any_of(odd_ttls));
  p.tos = static_cast<std::uint8_t>(chance(20) ? below(256) : 0);
  p.id = static_cast<std::uint16_t>(below(4));
  p.dont_fragment = chance(60);
  p.flags = any_of(tcp_flags);
  p.chunk = any_of(chunks);
  p.sequence = static_cast<std::uint32_t>(random_());
  p.acknowledgement = static_cast<std::uint32_t>(random_());
  p.data = Bytes(any_of(sizes), static_cast<std::uint8_t>(below(256)));
  if (p.protocol == L4::udp && !p.is_v6() && chance(20)) p.checksum = 0;
  if (chance(3)) p.checksum = static_cast<std::uint16_t>(below(3) ? below(65536) : 0xffff);
  if (p.protocol == L4::sctp && chance(3)) p.tag = p.chunk == 1 ? 7 : 0;
  if (!p.is_v6() && chance(5)) p.ip_options = Bytes(4 * (1 + below(10)), 1);
  if (!p.is_v6() && chance(3)) p.ip_options = source_route();
  if (p.is_v6() && chance(10)) {
    for (auto headers = chance(80) ? 1 + below(2) : 1 + below(8); headers > 0; --headers)
      p.extensions.push_back(extension(any_of(extension_types), below(3)));
    for (auto& header : p.extensions)
      if (chance(85)) header[3] = 0;  // routing headers: no segments left
  }
  if (p.is_v6() && chance(4)) {
    p.extensions.clear();
    for (auto headers = 1 + below(3); headers > 0; --headers)
      p.extensions.push_back(plausible_extension(p, any_of(long_headers)));
  }
  if (chance(2)) p.data.resize(3000 + below(4000));
}

// At any offset its contents look like the ports of a connection to some listener, which deceives a
// parser that looks at the wrong place.
Bytes Generator::plausible_extension(const Packet& p, std::size_t units) {
  static const std::uint8_t extension_types[] = {0, 60};
  Bytes header = extension(any_of(extension_types), units);
  const auto port = std::get<1>(any_of(configuration().listeners).first);
  replace(header, 2, be16(port) + be16(64) + be16(0));
  for (std::size_t at = 8; at < header.size(); at += 8)
    replace(header, at, be16(p.source_port) + be16(port) + be16(64) + be16(0));
  return header;
}

// Makes a source route: loose or strict, at its end or not, behind other options or not.
Bytes Generator::source_route() {
  const std::size_t addresses = 1 + below(3), before = below(2) ? 0 : 4;
  Bytes options(before, 1);
  options = options + Bytes{static_cast<std::uint8_t>(chance(50) ? 131 : 137),
                            static_cast<std::uint8_t>(3 + 4 * addresses),
                            static_cast<std::uint8_t>(4 + 4 * below(addresses + 1))};
  options.resize(before + 3 + 4 * addresses, 10);
  options.push_back(0);
  return options;
}

Bytes Generator::later_fragment(const Packet& p) {
  const auto length = p.l4_bytes().size();
  const std::size_t offset = 8 * (chance(10) ? 1 : std::min<std::size_t>(3 + below(4), length / 8));
  if (chance(5)) {
    auto frame = p.fragment(offset, 64, false);
    const auto view = look_at(frame);
    // The offset is near the end of the longest IP packet.
    if (view.family == 4) write16(frame, view.l3 + 6, 0x1fff - below(16));
    return frame;
  }
  return p.fragment(offset, chance(60) ? 64 : length, chance(50));
}

Arrives Generator::whole_or_fragment(const Packet& packet, const std::string& interface) {
  auto p = packet;
  if (chance(2)) p.checksum = unfinished_checksum(p);
  if (!chance(15)) return {interface, p.bytes()};
  const auto length = p.l4_bytes().size();
  if (chance(30) && length >= 32) return {interface, later_fragment(p)};
  if (length >= 32) unfinished_ = {interface, p};
  return {interface, p.fragment(0, std::min<std::size_t>(length, 48), true)};
}

// Makes what a sender leaves for its NIC to finish: the sum of the pseudo header.
std::uint16_t Generator::unfinished_checksum(const Packet& p) {
  const auto length = static_cast<std::uint32_t>(p.l4_bytes().size());
  const auto pseudo_header = address_of(p.source) + address_of(p.destination) + be32(length) +
                             be32(static_cast<std::uint32_t>(p.protocol));
  return static_cast<std::uint16_t>(~internet_checksum(pseudo_header));
}

Packet Generator::client_packet(const Service& service) {
  const auto& [vip, port, protocol] = service;
  Packet p;
  p.source_mac = router;
  p.source = vip.size() == 4 ? any_of(clients4) : any_of(clients6);
  if (!way_to(configuration(), address_of(p.source))->resolved) p.source_mac = somebody;
  p.destination = text_of(vip);
  p.protocol = static_cast<L4>(protocol);
  p.source_port = many_clients_ && chance(80) ? static_cast<std::uint16_t>(20000 + below(20000))
                                              : any_of(client_ports);
  p.destination_port = chance(97) ? port : static_cast<std::uint16_t>(port + 1);
  // One of the range's ports, or one beside it.
  if (const auto last = configuration().listeners.at(service).last_port)
    p.destination_port = static_cast<std::uint16_t>(port - 1 + below(last - port + 3U));
  vary(p);
  return p;
}

// Says whether the listener, or a member of its pool, may have few connections at a time, or in a
// second.
bool Generator::is_limited(const Listener& listener) const {
  const auto& members = configuration().pools[listener.pool].members;
  if (listener.limit || listener.source_limit) return true;
  return std::ranges::any_of(members, [&](std::size_t member) {
    return configuration().members[member].most.has_value();
  });
}

Arrives Generator::opening() {
  const auto* service = &any_of(configuration().listeners);
  // Handshakes with members that want a header have many ways to go.
  for (auto tries = chance(12) ? 60 : 0; tries > 0 && !is_proxied(service->second); --tries)
    service = &any_of(configuration().listeners);
  // Few of the listeners have limits, and fewer have reached them.
  for (auto tries = chance(12) ? 60 : 0; tries > 0 && !is_limited(service->second); --tries)
    service = &any_of(configuration().listeners);
  for (const auto& flow : model_.flows())
    if (flow.established && model_.is_present(flow) &&
        is_limited(configuration().listeners.at(flow.service)) && chance(20))
      service = &*configuration().listeners.find(flow.service);
  auto p = client_packet(service->first);
  if (chance(80)) {
    p.flags = SYN;
    p.chunk = 1;
  }
  if (is_proxied(service->second)) {
    if (chance(90)) p.data.clear();
    if (chance(40)) p.options = tcp_options(p.sequence);
  }
  // The same client connects once more.
  const auto& flows = model_.flows();
  if (!flows.empty() && chance(20)) {
    const auto& other = any_of(flows).at_client;
    const auto client = unmapped(other.source);
    if (client.size() == address_of(p.source).size()) {
      p.source = text_of(client);
      p.source_port = other.source_port;
      // Or another connection of it to the same service.
      if (chance(40) && other.protocol == static_cast<std::uint8_t>(p.protocol)) {
        p.destination = text_of(unmapped(other.destination));
        p.destination_port = other.destination_port;
        ++p.source_port;
      }
    }
  }
  if (chance(16)) share_a_port(p);
  // Some address of ours, which may have no listener.
  if (const auto& ours = any_of(configuration().vips).first;
      chance(2) && ours.size() == address_of(p.source).size())
    p.destination = text_of(ours);
  const std::string interface = chance(95) ? "lan0" : "dmz0";
  address(p, interface);
  return whole_or_fragment(p, interface);
}

// Makes it another SCTP client with the port of one that is there: at the member they must not
// share it.
void Generator::share_a_port(Packet& p) {
  for (const auto& flow : model_.flows()) {
    const auto& other = flow.at_client;
    if (flow.mode != Mode::fullnat || other.protocol != static_cast<std::uint8_t>(L4::sctp) ||
        other.source.size() != address_of(p.source).size() || chance(50))
      continue;
    p.protocol = L4::sctp;
    p.destination = text_of(other.destination);
    p.destination_port = other.destination_port;
    p.source_port = other.source_port;
    p.chunk = 1;
    p.tag = 0;
  }
}

// Makes a SYN, or rarely something else, for a listener that authenticates.
Arrives Generator::syn_to_authenticate() {
  std::vector<Service> services;
  for (const auto& [service, listener] : configuration().listeners)
    if (listener.authentication != Authentication::off &&
        std::get<2>(service) == static_cast<std::uint8_t>(L4::tcp) &&
        std::get<0>(service).size() == (chance(70) ? 4U : 16U))
      services.push_back(service);
  if (services.empty()) return opening();
  auto p = client_packet(any_of(services));
  if (chance(60)) p.source = p.is_v6() ? clients6[0] : clients4[0];  // many connections of one
  p.source_mac = router;
  if (chance(92)) p.flags = SYN;
  address(p, "lan0");
  return whole_or_fragment(p, "lan0");
}

// Makes what a client sends once its SYN was answered by a wrong number: a reset of that, and the
// SYN again. Some reset another number, or send another SYN.
Arrives Generator::after_answer() {
  const auto& [client, asked] = any_of(model_.asked());
  const bool has_reset = model_.proof(client) == asked.acknowledged;
  Packet p;
  p.source_mac = router;
  p.source = text_of(client.source);
  p.destination = text_of(client.destination);
  p.source_port = client.source_port;
  p.destination_port = client.destination_port;
  vary(p);
  p.flags = has_reset ? SYN : RST;
  if (chance(10)) p.flags = p.flags == SYN ? RST : SYN;
  p.sequence = p.flags == SYN ? asked.sequence : asked.acknowledged;
  if (chance(8)) p.sequence += below(3) ? below(3) - 1 : below(0x10000);
  address(p, "lan0");
  return whole_or_fragment(p, "lan0");
}

// Options of a handshake, some of them damaged or where they don't belong.
Bytes Generator::tcp_options(std::uint32_t around) {
  const auto number = [&] { return be32(around + below(80) - 60); };
  Bytes options;
  for (auto some = 1 + below(4); some > 0; --some) {
    switch (below(8)) {
      case 0:
        options = options + Bytes{2, 4} + be16(chance(80) ? 1460 : below(100));
        break;
      case 1:
        options = options + Bytes{3, 3, static_cast<std::uint8_t>(below(18))};
        break;
      case 2:
        options = options + Bytes{5, 10} + number() + number();
        break;
      case 3:
        options = options + Bytes{5, 18} + number() + number() + number() + number();
        break;
      case 4:
        options = options + Bytes{34, 6, 1, 2, 3, 4};
        break;
      case 5:
        options = options + Bytes{8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
        break;
      case 6:
        if (chance(20))
          options = options + Bytes{static_cast<std::uint8_t>(chance(50) ? 19 : 29), 4, 1, 2};
        break;
      default:
        options = options + Bytes{static_cast<std::uint8_t>(chance(90) ? 1 : below(256))};
    }
  }
  options.resize(std::min<std::size_t>(options.size() + 3, 40) / 4 * 4, 1);
  return options;
}

// Gives a packet of a PROXYV2 pool's connection numbers that matter while the header is pending.
void Generator::shake(Packet& p, const Flow& flow, bool from_member) {
  const auto header = flow.at_client.source.size() == 4 ? 28U : 52U;
  const auto known = model_.pending(flow.at_client);
  const auto first = known ? known->first : static_cast<std::uint32_t>(random_());
  static const std::uint8_t flags[] = {ACK,        ACK, ACK,       ACK | PSH, FIN | ACK,
                                       ACK | 0x20, RST, RST | ACK, SYN,       SYN | ACK};
  p.flags = any_of(flags);
  if (from_member) {
    if (!flow.replied && chance(80)) p.flags = SYN | ACK;
    p.acknowledgement =
        p.flags & SYN ? first - header : first - (chance(50) ? 0 : below(header + 2)) + below(3);
    if (chance(5)) p.acknowledgement += below(100000);
    p.window = static_cast<std::uint16_t>(chance(20) ? below(60) : below(65536));
  } else {
    p.sequence =
        p.flags == SYN ? first - 1 : first + (chance(60) ? 0 : below(header + 4) - header - 2);
    if (p.flags == SYN && chance(90)) p.data.clear();
    p.urgent = static_cast<std::uint16_t>(below(65536));
  }
  if (chance(50)) p.data.clear();
  if (chance(40)) p.options = tcp_options(first);
}

Packet Generator::packet_of(const Flow& flow, bool from_member, std::string* interface) {
  const auto tuple = from_member ? flow.at_member.turned() : flow.at_client;
  Packet p;
  p.source = text_of(unmapped(tuple.source));
  p.destination = text_of(unmapped(tuple.destination));
  p.source_port = tuple.source_port;
  p.destination_port = tuple.destination_port;
  p.protocol = static_cast<L4>(tuple.protocol);
  vary(p);
  // Most clients hear their members.
  if (!from_member && !flow.established && flow.told && chance(70)) {
    p.acknowledgement = flow.told;
    if (p.protocol == L4::sctp && p.chunk != 1) p.tag = flow.told;
  }
  if (flow.proxied && chance(90)) shake(p, flow, from_member);
  const auto way = from_member
                       ? *way_to(configuration(), configuration().members[flow.member].address)
                       : flow.client_way;
  // If members answer directly, there may be no way back.
  *interface = way.interface.empty() ? "lan0" : way.interface;
  // An attacker behind another NIC forges the member's packet.
  if (from_member && chance(5)) *interface = *interface == "lan0" ? "dmz0" : "lan0";
  p.source_mac = way.next_mac;
  address(p, *interface);
  if (from_member && !way.tags.empty()) p.tags = way.tags;
  return p;
}

// Makes a SYN that comes again, or an answer that is late.
Arrives Generator::of_slow_handshake() {
  std::vector<const Flow*> waiting;
  for (const auto& flow : model_.flows())
    if (model_.is_present(flow) && model_.waits_for_member(flow) &&
        configuration().listeners.at(flow.service).connect_time)
      waiting.push_back(&flow);
  const auto& late = model_.late_answers();
  if (waiting.empty() && late.empty()) return opening();
  std::string interface = "lan0";
  Packet p;
  if (late.empty() || (!waiting.empty() && chance(70))) {
    p = packet_of(*any_of(waiting), false, &interface);
    p.flags = SYN;
    p.chunk = 1;
    p.tag.reset();
    p.data.clear();
  } else {
    const auto& tuple = any_of(late).first;
    p.source = text_of(unmapped(tuple.source));
    p.destination = text_of(unmapped(tuple.destination));
    p.source_port = tuple.source_port;
    p.destination_port = tuple.destination_port;
    p.protocol = static_cast<L4>(tuple.protocol);
    p.source_mac = router;
    vary(p);
    p.flags = SYN | ACK;
    p.chunk = 2;
    address(p, interface);
  }
  return whole_or_fragment(p, interface);
}

Arrives Generator::of_flow() {
  std::string interface;
  const auto& flow = any_of(model_.flows());
  // Direct answers of members don't pass us.
  const bool direct = is_direct(flow.mode);
  auto p = packet_of(flow, chance(direct ? 10 : 50), &interface);
  // To the member's own address, where it could be taken for the connection through the VIP.
  if (flow.mode == Mode::dnat && p.source == text_of(flow.at_client.source) && chance(40)) {
    p.destination = text_of(flow.at_member.destination);
    p.source_port = flow.at_member.source_port;
    p.destination_port = flow.at_member.destination_port;
    if (chance(80)) p.flags = SYN;
    p.checksum.reset();
    return whole_or_fragment(p, interface);
  }
  // Most connections are orderly, so that most flows live long enough to be seen in every state.
  if (chance(60) && !flow.proxied) {
    p.flags = ACK;
    p.chunk = 0;
  }
  return whole_or_fragment(p, interface);
}

// Opens a connection whose member sees the client's own port.
Arrives Generator::opening_with_own_port() {
  std::vector<Service> services;
  for (const auto& [service, listener] : configuration().listeners)
    if (keeps_port(configuration().pools[listener.pool].mode, std::get<2>(service)))
      services.push_back(service);
  if (services.empty()) return opening();
  auto p = client_packet(any_of(services));
  p.flags = SYN;
  p.chunk = 1;
  address(p, "lan0");
  return {"lan0", p.bytes()};
}

// Makes a packet that opens what a member could take for a connection that is there: another
// client's INIT from the same port, or a client's own SYN to the member's own address.
Arrives Generator::colliding() {
  std::vector<const Flow*> candidates;
  for (const auto& flow : model_.flows())
    if (model_.is_present(flow) && keeps_port(flow.mode, flow.at_client.protocol))
      candidates.push_back(&flow);
  if (candidates.empty() || chance(30)) return opening_with_own_port();
  const auto& flow = *any_of(candidates);
  std::string interface;
  auto p = packet_of(flow, false, &interface);
  p.flags = SYN;
  p.chunk = 1;
  p.tag.reset();
  if (flow.mode == Mode::dnat) {
    p.destination = text_of(flow.at_member.destination);
    p.source_port = flow.at_member.source_port;
    p.destination_port = flow.at_member.destination_port;
  } else {
    p.source = p.is_v6() ? any_of(clients6) : any_of(clients4);
  }
  return whole_or_fragment(p, interface);
}

// Makes an error from any router on the way, about a packet that we sent, with the receiver's
// addresses.
Arrives Generator::error_about_flow() {
  static const std::uint8_t types4[] = {3, 3, 11, 12, 5, 4}, types6[] = {1, 2, 3, 4, 127};
  std::string interface;
  const auto& flow = any_of(model_.flows());
  const bool from_member = chance(50);
  auto quoted = packet_of(flow, from_member, &interface);
  std::swap(quoted.source, quoted.destination);
  std::swap(quoted.source_port, quoted.destination_port);
  const bool v6 = quoted.is_v6();
  std::string from = quoted.destination;
  if (chance(30)) from = v6 ? "2001:db8:1::1" : "10.1.0.1";
  if (chance(3)) from = v6 ? "2001:db8::16" : "10.0.0.16";
  auto to = quoted.source;
  if (chance(5))
    to = v6 ? any_of(std::vector<std::string>{"2001:db8::9", "2001:db8::17"})
            : any_of(std::vector<std::string>{"10.0.0.9", "10.0.0.17"});
  auto quote = quoted.ip_bytes();
  if (chance(70))
    quote = cut(quote, (v6 ? 40 : 20) + any_of(std::vector<std::size_t>{8, 9, 17, 18, 20, 60, 7}));
  auto error = icmp_error(from, to, v6 ? any_of(types6) : any_of(types4),
                          static_cast<std::uint8_t>(below(chance(70) ? 5 : 17)),
                          chance(50) ? 1400
                          : below(2) ? 60'000 + below(20'000)
                                     : 0,
                          quote);
  error.source_mac = quoted.source_mac;
  error.destination_mac = quoted.destination_mac;
  error.tags = quoted.tags;
  error.ttl = quoted.ttl;
  if (chance(3)) error.checksum = static_cast<std::uint16_t>(below(65536));
  return {interface, chance(97) ? error.bytes() : error.fragment(0, 48, true)};
}

// Makes a ping, an ARP request or a neighbour solicitation.
Arrives Generator::request() {
  const auto& vip = any_of(configuration().vips).first;
  const std::string target = chance(85)        ? text_of(vip)
                             : vip.size() == 4 ? "10.0.0.200"
                                               : "2001:db8::200";
  const bool v6 = vip.size() == 16;
  if (!v6 && chance(40)) {
    ArpFrame arp;
    arp.source_mac = arp.sender_mac = somebody;
    arp.sender = chance(95) ? "10.0.0.77" : target;
    arp.target = target;
    arp.operation = static_cast<std::uint16_t>(chance(90) ? 1 : 2);
    if (chance(30)) arp.destination_mac = configuration().interfaces.at("lan0").mac;
    return {"lan0", arp.bytes()};
  }
  const bool neighbour = v6 && chance(50);
  auto p = icmp_error(v6 ? any_of(clients6) : any_of(clients4), target, v6 ? 128 : 8, 0,
                      static_cast<std::uint32_t>(random_()), Bytes(below(100), 0xab));
  if (chance(10)) p.type = static_cast<std::uint8_t>(below(256));
  p.ttl = static_cast<std::uint8_t>(neighbour && chance(90) ? 255 : below(256));
  p.source_mac = somebody;
  address(p, "lan0");
  if (chance(5)) p.checksum = static_cast<std::uint16_t>(below(65536));
  if (neighbour) {
    p.type = 135;
    p.rest = 0;
    p.data = address_of(target);
    if (chance(60)) p.data = p.data + Bytes{1, 1, 2, 0, 0, 0, 0, 0x77};
    if (chance(20))
      p.data = p.data + Bytes{14, static_cast<std::uint8_t>(below(3)), 1, 2, 3, 4, 5, 6};
    if (chance(15)) p.source = chance(70) ? "::" : "ff02::1";
    if (chance(70)) {
      p.destination = "ff02::1:ff00:" + target.substr(target.rfind(':') + 1);
      p.destination_mac = {0x33, 0x33, 0xff, 0, 0, 0x16};
    }
  }
  return {"lan0", chance(97) ? p.bytes() : p.fragment(0, 24, true)};
}

Arrives Generator::somebody_elses() {
  auto p = client_packet(any_of(configuration().listeners).first);
  if (chance(70)) p.destination = p.is_v6() ? "2001:db8::9" : "10.0.0.9";
  if (chance(20)) p.protocol = static_cast<L4>(below(256));
  if (chance(20)) {
    static const char* const martians4[] = {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                                            "10.0.0.16"};
    static const char* const martians6[] = {
        "::", "::1", "ff02::1", "2001:db8::16", "::ffff:203.0.113.5", "::203.0.113.5"};
    p.source = p.is_v6() ? any_of(martians6) : any_of(martians4);
  }
  address(p, "lan0");
  if (chance(20)) p.destination_mac = chance(50) ? somebody : broadcast_mac;
  return whole_or_fragment(p, "lan0");
}

// Damages some bytes, mostly in the headers.
void Generator::damage(Bytes& frame) {
  for (auto times = 1 + below(3); times > 0; --times) {
    const auto headers = std::min<std::size_t>(frame.size(), 110);
    const auto view = look_at(frame);
    switch (below(10)) {
      case 0:
        frame[below(headers)] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        frame[12 + below(headers - 12)] = static_cast<std::uint8_t>(below(256));
        break;
      case 2:  // cut, but not shorter than an Ethernet header
        frame.resize(14 + below(frame.size() - 13));
        break;
      case 3:  // padded
        frame.resize(frame.size() + 1 + below(40), 0xee);
        break;
      case 4:  // a word near the IP header's lengths, flags, TTL
        if (frame.size() > 34)
          write16(frame, 14 + 2 * below(9), below(2) ? below(65536) : below(200));
        break;
      case 5:  // and near the L4 header's
        if (frame.size() > 74)
          write16(frame, 34 + 2 * below(20), below(2) ? below(65536) : below(80));
        break;
      case 6:  // an IP packet that ends within its L4 header
        if (view.ip && view.family == 4)
          write16(frame, view.l3 + 2, (frame[view.l3] & 15U) * 4U + below(24));
        if (view.ip && view.family == 6) write16(frame, view.l3 + 4, below(24));
        break;
      case 7:  // the lengths in a TCP or UDP header
        if (!view.has_ports) break;
        if (view.protocol == 6) frame[view.l4 + 12] = static_cast<std::uint8_t>(below(256));
        if (view.protocol == 17) write16(frame, view.l4 + 4, below(2) ? below(40) : below(65536));
        break;
      case 8:  // a routing header that goes on
        if (view.family == 6 && view.ip && view.l3 + 48 <= frame.size())
          frame[view.l3 + 43] = static_cast<std::uint8_t>(below(3));
        break;
      default:
        if (frame.size() > 20) frame[14] = static_cast<std::uint8_t>(below(256));
    }
  }
}

// Lets some ticks pass, often about as many as some connection has left.
Step Generator::passing_time() {
  static const Time usual[] = {1, 1, 1, 2, 2, 3, 5, 8, 10, 33};
  constexpr Time most = 40, seldom = 2000;
  auto ticks = any_of(usual);
  if (!model_.flows().empty() && chance(50)) {
    const auto& flow = any_of(model_.flows());
    const auto left = model_.is_present(flow) ? model_.ticks_left(flow) : ticks;
    if (left <= most || (left <= seldom && chance(10))) ticks = left + below(3) - 1;
  }
  sweep_is_due_ = chance(60);
  return Passes{std::clamp<Time>(ticks, 1, seldom)};
}

Step Generator::next() {
  if (std::exchange(sweep_is_due_, false)) return Sweeps{};
  if (chance(4)) return passing_time();
  if (chance(4)) return SweepsShort{};
  if (chance(1)) return Sweeps{};
  if (chance(3)) {
    const bool of_flow = !model_.flows().empty() && chance(70);
    const auto member =
        of_flow ? any_of(model_.flows()).member : below(configuration().members.size());
    static const Standing ways_to_go[] = {
        Standing::drained,  Standing::drained,          Standing::down,
        Standing::given_up, Standing::given_up,         Standing::drained_out,
        Standing::removed,  Standing::removed_and_over, Standing::removed_while_down};
    const bool usable = configuration().members[member].is_usable();
    return Turns{member, usable ? any_of(ways_to_go) : Standing::usable};
  }
  if (unfinished_ && chance(70)) {
    const auto [interface, packet] = *std::exchange(unfinished_, std::nullopt);
    return Arrives{interface, later_fragment(packet)};
  }
  Arrives made;
  const auto what = below(100);
  if (chance(syns_)) {
    made = !model_.asked().empty() && chance(70) ? after_answer() : syn_to_authenticate();
  } else if (model_.flows().empty() || what < (many_clients_ ? 50 : 22)) {
    made = opening();
  } else if (what < 27) {
    made = of_slow_handshake();
  } else if (what < 67) {
    made = of_flow();
  } else if (what < 72) {
    made = colliding();
  } else if (what < 84) {
    made = error_about_flow();
  } else if (what < 92) {
    made = request();
  } else {
    made = somebody_elses();
  }
  if (chance(25)) damage(made.frame);
  return made;
}

}  // namespace sluice::test::reference
