// Generator: makes sequences of likely interesting packets from a seed.
//
// It asks the model for the present flows, so that most packets belong to one, in either direction.
// Some packets are damaged afterwards.
#pragma once

#include <iterator>
#include <random>
#include <string>
#include <variant>

#include "reference/model.hpp"

namespace sluice::test::reference {

// One step: a packet arrives, a member comes or goes, time passes, or idle connections are swept.
struct Arrives {
  std::string interface;
  Bytes frame;
};
struct Turns {
  std::size_t member;
  Standing standing;
};
struct Passes {
  Time ticks;
};
struct Sweeps {};
struct SweepsShort {};
using Step = std::variant<Arrives, Turns, Passes, Sweeps, SweepsShort>;

class Generator {
 public:
  // `many_clients`: more connections, of clients that seldom collide. `syns`: of so many percent of
  // the packets the sender is asked whether he hears us, or has been.
  Generator(std::uint64_t seed, const Model& model, bool many_clients = false,
            std::uint32_t syns = 4)
      : random_(seed), model_(model), many_clients_(many_clients), syns_(syns) {}
  Step next();

 private:
  std::uint32_t below(std::size_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }
  template <typename Range>
  const auto& any_of(const Range& range) {
    return *std::next(std::begin(range), below(std::size(range)));
  }
  const Configuration& configuration() const { return model_.configuration(); }

  bool is_proxied(const Listener& listener) const {
    return configuration().pools[listener.pool].proxied;
  }
  bool is_limited(const Listener& listener) const;
  Step passing_time();
  Arrives opening();
  void share_a_port(Packet& packet);
  Arrives syn_to_authenticate();
  Arrives after_answer();
  Arrives of_slow_handshake();
  Arrives of_flow();
  Arrives opening_with_own_port();
  Arrives colliding();
  Arrives error_about_flow();
  Arrives request();
  Arrives somebody_elses();
  Packet client_packet(const Service& service);
  // The flow's packet as the client or the member sends it, and its interface.
  Bytes tcp_options(std::uint32_t around);
  void shake(Packet& packet, const Flow& flow, bool from_member);
  Packet packet_of(const Flow& flow, bool from_member, std::string* interface);
  void address(Packet& packet, const std::string& interface);
  void vary(Packet& packet);
  Bytes source_route();
  Bytes plausible_extension(const Packet& packet, std::size_t units);
  Bytes later_fragment(const Packet& packet);
  static std::uint16_t unfinished_checksum(const Packet& packet);
  Arrives whole_or_fragment(const Packet& packet, const std::string& interface);
  void damage(Bytes& frame);

  std::mt19937_64 random_;
  const Model& model_;
  bool many_clients_;
  std::uint32_t syns_;
  bool sweep_is_due_ = false;
  std::optional<std::pair<std::string, Packet>> unfinished_;  // its first fragment was sent
};

}  // namespace sluice::test::reference
