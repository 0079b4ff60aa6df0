// flood: what strangers can take away from clients, attack by attack.
//
// Each attack is repeated with more and more packets, each time from the beginning: 20 clients have
// connections to the attacked service and 20 to a quiet one on another VIP, and say something every
// 9 s; the attack; then 20 newcomers come to each service, and the first 40 clients go on. The
// table says from which strength on the attack had an effect: fewer than 20 newcomers were served,
// or a connection did not go on with its member; or that it had none at the strongest tried. The
// search takes half the strength for as long as there is an effect, so it relies on stronger
// attacks not to be weaker.
//
// Attackers know addresses and ports, no sequence numbers and no tags. Every packet of a flood is
// sent three times, 9 s apart. Time is virtual (field.hpp), so rates don't depend on the machine,
// and so is the rest of the network: members answer as a host would.
//
// With --object another version's program is attacked first, by the same code.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <functional>
#include <iostream>

#include "maps/flow.h"
#include "tests/bench/field.hpp"
#include "tests/bench/subject.hpp"

namespace sluice::bench {
namespace {

using test::ACK;
using test::FIN;
using test::L4;
using test::RST;
using test::SYN;
using Side = Field::Side;

constexpr int people = 20;         // newcomers, and clients with connections, of each service
constexpr std::uint32_t step = 9;  // seconds: a tick of the flows' clock, and a bit
constexpr int times = 3;           // each packet of a flood is sent so often

// A connection of somebody who hears what he is answered.
struct Connection {
  std::string client;
  std::uint16_t port = 0;
  bool quiet = false;
  Seen seen;
};

// ---- honest clients ----

L4 protocol_of(const Field& field, const Connection& c) {
  return c.quiet ? L4::tcp : field.service().protocol;
}

bool answered_directly(const Field& field, const Connection& c) {
  return !c.quiet && field.service().answers_directly();
}

test::Packet says(const Field& field, const Connection& c, std::uint8_t flags, bool data = false) {
  auto packet = field.from_client(c.client, c.port, flags, c.quiet);
  if (data) packet.data = test::text("a question");
  return packet;
}

bool member_answers(Field& field, const Connection& c, std::uint8_t flags, bool data = false) {
  if (answered_directly(field, c)) return true;
  auto packet = field.from_member(c.seen, flags, protocol_of(field, c));
  if (data) packet.data = test::text("an answer");
  return field.send(packet, Side::members).has_value();
}

// A packet with data each way reaches its end, the member that the connection began with.
bool goes_on(Field& field, const Connection& c) {
  return field.to_member(says(field, c, ACK, true)) == c.seen &&
         member_answers(field, c, ACK, true);
}

// Resets an answer that acknowledges what was not sent, as each system does. False: there was none.
bool resets_wrong_answer(Field& field, const Connection& c, const test::Packet& syn) {
  const auto answer = field.answer_to(syn);
  if (!answer) return false;
  const std::size_t number = 14 + (c.client.find(':') == std::string::npos ? 20 : 40) + 8;
  auto reset = says(field, c, RST);
  reset.sequence = 0;
  for (std::size_t i = 0; i < 4; ++i) reset.sequence = reset.sequence << 8 | answer->at(number + i);
  field.send(reset, Side::clients);
  return true;
}

// Opens a connection as an honest client does; each packet is sent once, the SYN again after a
// reset.
bool opens(Field& field, Connection& c) {
  const auto syn = says(field, c, SYN);
  auto seen = field.to_member(syn);
  if (!seen && protocol_of(field, c) == L4::tcp && resets_wrong_answer(field, c, syn))
    seen = field.to_member(syn);
  if (!seen) return false;
  c.seen = *seen;
  if (protocol_of(field, c) == L4::udp) return member_answers(field, c, 0);
  return member_answers(field, c, SYN | ACK) && goes_on(field, c);
}

Connection person(const Field& field, int number, bool newcomer, bool quiet) {
  return {.client =
              field.source(0x7f0000U + (newcomer ? 256U : 1U) + static_cast<std::uint32_t>(number)),
          .port = static_cast<std::uint16_t>((newcomer ? 51'000 : 50'000) + number),
          .quiet = quiet,
          .seen = {}};
}

std::vector<Connection> establish(Field& field) {
  std::vector<Connection> all;
  for (int i = 0; i < 2 * people; ++i) {
    auto c = person(field, i, false, i % 2);
    if (!opens(field, c)) die("a connection can't be opened before the attack");
    all.push_back(c);
  }
  return all;
}

int serve_newcomers(Field& field, bool quiet) {
  int served = 0;
  for (int i = 0; i < people; ++i) {
    auto c = person(field, i, true, quiet);
    served += opens(field, c);
  }
  return served;
}

// ---- attacks ----

struct Scene {
  Field& field;
  const std::vector<Connection>& victims;
  std::uint32_t strength;
  std::uint32_t seconds;
  int refused = 0;  // honest clients, during it
};

// Sends forged packets to the attacked connections, in their clients' names or their members', from
// the clients' side.
using Forge = std::function<void(Scene&, const Connection&)>;

void forge(Scene& scene, const Connection& c, std::uint8_t flags, bool as_member = false) {
  if (protocol_of(scene.field, c) == L4::sctp && flags == FIN) return;
  auto packet = as_member ? scene.field.from_member(c.seen, flags, protocol_of(scene.field, c))
                          : says(scene.field, c, flags);
  packet.sequence = packet.acknowledgement = 4'000'000'000U;
  if (protocol_of(scene.field, c) == L4::sctp && !(flags & SYN)) packet.tag = 0x0badf00d;
  if (protocol_of(scene.field, c) == L4::tcp) packet.checksum = 0xdead;
  scene.field.send(packet, Side::clients);
}

// Strength: so many rounds for each connection.
std::function<void(Scene&)> on_each_connection(Forge round) {
  return [round = std::move(round)](Scene& scene) {
    for (const auto& c : scene.victims) {
      for (std::uint32_t i = 0; i < scene.strength && !c.quiet; ++i) round(scene, c);
    }
  };
}

// One source of a flood does its worst.
using Source = std::function<void(Scene&, const Connection&)>;

// Strength: so many sources per second, each with its packets, which come three times.
std::function<void(Scene&)> from_many_sources(Source source, bool repeated = true) {
  return [source = std::move(source), repeated](Scene& scene) {
    const std::uint32_t each_step = scene.strength * step / (repeated ? times : 1) + 1;
    const auto send_those_of = [&](std::uint32_t round) {
      for (std::uint32_t i = round * each_step; i < (round + 1) * each_step; ++i)
        source(scene, {.client = scene.field.source(i),
                       .port = static_cast<std::uint16_t>(1024 + i * 7919U % 60'000),
                       .quiet = false,
                       .seen = {}});
    };
    for (std::uint32_t round = 0; round * step < scene.seconds; ++round) {
      for (std::uint32_t again = 0; again < (repeated ? times : 1) && again <= round; ++again)
        send_those_of(round - again);
      scene.field.pass(step);
      for (const auto& c : scene.victims) goes_on(scene.field, c);
    }
  };
}

// The member of a packet that was forwarded answers it.
void sends(Scene& scene, Connection c, std::uint8_t flags, std::optional<std::uint8_t> answer) {
  const auto seen = scene.field.to_member(says(scene.field, c, flags));
  if (!seen || !answer) return;
  c.seen = *seen;
  member_answers(scene.field, c, *answer);
}

void wrong_handshake(Scene& scene, const Connection& c) {
  sends(scene, c, SYN, SYN | ACK);
  auto wrong = says(scene.field, c, ACK);
  wrong.acknowledgement = 4'000'000'000U;
  scene.field.send(wrong, Side::clients);
}

// The address is real, but its kernel knows of no connection.
void scan(Scene& scene, const Connection& c) {
  sends(scene, c, SYN, SYN | ACK);
  scene.field.send(says(scene.field, c, RST), Side::clients);
}

// No attack: a connection as short as can be.
void short_connection(Scene& scene, Connection c) {
  if (!opens(scene.field, c)) {
    ++scene.refused;
    return;
  }
  scene.field.send(says(scene.field, c, FIN | ACK), Side::clients);
  member_answers(scene.field, c, FIN | ACK);
  scene.field.send(says(scene.field, c, ACK), Side::clients);
}

enum class Unit { rounds, per_second };

struct Attack {
  const char* name;
  Unit unit;
  Service service;
  std::function<void(Scene&)> run;
  std::uint32_t wait = 0;    // seconds until the newcomers come
  bool fills_table = false;  // all connections are right, and a closed one rests for two ticks

  // Nobody can prove anything here, so the longest idle connections of the attacked service make
  // way (bpf/README.md).
  bool may_break() const { return service.answers_directly() || service.protocol == test::L4::udp; }
};

std::vector<Attack> attacks() {
  const Service tcp{.members = 4}, sctp{.protocol = L4::sctp, .members = 4};
  const Service direct{.mode = SLUICE_DSR, .algorithm = SLUICE_SOURCE_IP_PORT};
  const Service adopting{.mode = SLUICE_DNAT, .algorithm = SLUICE_SOURCE_IP_PORT};
  const auto pair = [](std::uint8_t first, std::uint8_t second, bool as_member = false) {
    return on_each_connection([=](Scene& scene, const Connection& c) {
      forge(scene, c, first, as_member);
      forge(scene, c, second);
    });
  };
  const auto flood = [](std::uint8_t flags, std::optional<std::uint8_t> answer) {
    return from_many_sources(
        [=](Scene& scene, const Connection& c) { sends(scene, c, flags, answer); });
  };
  const auto syn_and_ack = from_many_sources([](Scene& scene, const Connection& c) {
    sends(scene, c, SYN, {});
    sends(scene, c, ACK, {});
  });
  return {
      {"forged RST, then SYN", Unit::rounds, tcp, pair(RST, SYN)},
      {"forged FIN, then SYN", Unit::rounds, tcp, pair(FIN | ACK, SYN)},
      {"forged RST of the member, then SYN", Unit::rounds, tcp, pair(RST, SYN, true)},
      {"SCTP: forged ABORT, then INIT", Unit::rounds, sctp, pair(RST, SYN)},
      {"forged RST; 88 s without a word", Unit::rounds, tcp, pair(RST, RST), 88},
      {"SYNs", Unit::per_second, {}, flood(SYN, {})},
      {"SYNs that the member answers", Unit::per_second, {}, flood(SYN, SYN | ACK)},
      {"SYNs, authenticated", Unit::per_second, {.authenticates = true}, flood(SYN, SYN | ACK)},
      {"SYNs, connection_limit 60",
       Unit::per_second,
       {.connection_limit = 60},
       flood(SYN, SYN | ACK)},
      {"port scan, and a minute after it", Unit::per_second, {}, from_many_sources(scan), 60},
      {"SYNs and wrong ACKs", Unit::per_second, {}, from_many_sources(wrong_handshake)},
      {"dsr: SYNs and ACKs", Unit::per_second, {.mode = SLUICE_DSR}, syn_and_ack},
      {"dsr, by hash: ACKs", Unit::per_second, direct, flood(ACK, {})},
      {"dnat, by hash: ACKs", Unit::per_second, adopting, flood(ACK, {})},
      {"UDP without an answer", Unit::per_second, {.protocol = L4::udp}, flood(0, {})},
      {"UDP that the member answers", Unit::per_second, {.protocol = L4::udp}, flood(0, 0)},
      {"no attack: opened and closed",
       Unit::per_second,
       {},
       from_many_sources(short_connection, false),
       0,
       true},
  };
}

// ---- the search ----

struct Effect {
  std::uint32_t strength = 0;
  int served = 0, served_elsewhere = 0, broken = 0;
  bool any() const { return served < people || served_elsewhere < people || broken > 0; }
  bool is_forbidden(const Attack& attack) const {
    return served < people || served_elsewhere < people || (broken > 0 && !attack.may_break());
  }
};

Effect effect_of(Field& field, const Attack& attack, std::uint32_t strength,
                 std::uint32_t seconds) {
  field.begin(attack.service);
  const auto connections = establish(field);
  Scene scene{field, connections, strength, seconds};
  attack.run(scene);
  if (attack.wait) field.pass(attack.wait);
  Effect effect{.strength = strength};
  effect.served = std::max(0, serve_newcomers(field, false) - scene.refused);
  effect.served_elsewhere = serve_newcomers(field, true);
  for (const auto& c : connections) effect.broken += !goes_on(field, c);
  return effect;
}

struct Options {
  int family = 4;
  std::uint32_t flows = SLUICE_DEFAULT_FLOWS, most = 20'000, seconds = 72;
  std::string object;
};

// The weakest attack that has an effect; if there is none, the strongest.
Effect weakest(Field& field, const Attack& attack, const Options& options) {
  constexpr std::uint32_t most_rounds = 64;
  auto strength = attack.unit == Unit::rounds ? most_rounds : options.most;
  // Two steps of connections, closed or not, are two thirds of the table. A table that is nearly
  // full refuses one or two by the chance of its hash seed, and the smaller it is the likelier.
  if (attack.fills_table) strength = std::min(strength, options.flows / (3 * step));
  auto found = effect_of(field, attack, strength, options.seconds);
  while (found.any() && (strength /= 2) > 0) {
    const auto weaker = effect_of(field, attack, strength, options.seconds);
    if (!weaker.any()) break;
    found = weaker;
  }
  return found;
}

std::string cell(const Attack& attack, const Effect& e) {
  const std::string unit = attack.unit == Unit::rounds ? "" : "/s";
  return fmt::format("{:>12} {:>5} {:>5} {:>6}",
                     fmt::format("{}{}{}", e.any() ? "" : "none to ", e.strength, unit), e.served,
                     e.served_elsewhere, e.broken);
}

// One of them is in the kernel at a time, because the tables are large.
std::vector<Effect> measure(const Options& options, const std::optional<OtherObject>& other) {
  Field field(options.family, options.flows, other);
  std::vector<Effect> effects;
  for (const auto& attack : attacks()) {
    effects.push_back(weakest(field, attack, options));
    std::cerr << '.' << std::flush;
  }
  std::cerr << '\n';
  return effects;
}

Options parse(int argc, char** argv) {
  namespace po = boost::program_options;
  Options options;
  po::options_description description("scripts/bench flood");
  description.add_options()("help,h", "show this")(
      "family", po::value(&options.family)->default_value(options.family), "4 or 6")(
      "flows", po::value(&options.flows)->default_value(options.flows), "the flow table's size")(
      "most", po::value(&options.most)->default_value(options.most),
      "the strongest flood that is tried: sources per second")(
      "seconds", po::value(&options.seconds)->default_value(options.seconds),
      "how long a flood lasts")("object", po::value(&options.object),
                                "another version's sluice.bpf.o, which is attacked first");
  po::variables_map given;
  po::store(po::parse_command_line(argc, argv, description), given);
  po::notify(given);
  if (given.count("help")) {
    std::cout << description;
    std::exit(0);
  }
  if (options.family != 4 && options.family != 6) die("--family is 4 or 6");
  if (options.flows == 0 || options.most == 0 || options.seconds == 0) die("0 is too few");
  return options;
}

// Exit code 1: an attack has an effect on this build that it must not have; 77: it can't run here.
int run(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (geteuid() != 0) {
    std::cout << "skipped: loading BPF programs needs root\n";
    return 77;
  }
  enter_network();
  std::vector<Effect> before;
  if (!options.object.empty()) before = measure(options, OtherObject{options.object, "sluice_xdp"});
  const auto now = measure(options, {});
  const auto all = attacks();
  fmt::print(
      "IPv{}, a table for {} connections, floods of {} s; from which strength on an attack has an "
      "effect,\n"
      "newcomers served there of {} (the same service, another one), established connections "
      "broken of {}\n\n",
      options.family, options.flows, options.seconds, people, 2 * people);
  const auto head = fmt::format("{:>12} {:>5} {:>5} {:>6}", "from", "same", "other", "broken");
  if (!before.empty()) fmt::print("{:36} {:^31} | {:^31}\n", "", "before", "now");
  fmt::print("{:36} {}{}\n", "attack", before.empty() ? "" : head + " | ", head);
  bool forbidden = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    forbidden |= now[i].is_forbidden(all[i]);
    fmt::print("{:36} {}{}\n", all[i].name, before.empty() ? "" : cell(all[i], before[i]) + " | ",
               cell(all[i], now[i]));
  }
  return forbidden ? 1 : 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  try {
    return sluice::bench::run(argc, argv);
  } catch (const std::exception& problem) {
    std::cerr << "flood: " << problem.what() << '\n';
    return 2;
  }
}
