// Monitor: probes members on the event loop, one coroutine per member, and reports changes of
// state.
//
// A member's probes never overlap: the next one starts `delay` after the last one's start, or when
// that one has ended, if its timeout is longer. When states change: health/rise_fall.hpp; when
// probes start: health/schedule.hpp.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "model/objects.hpp"

namespace sluice::health {

// One member to probe. Equal targets are the same probe: updating the list leaves them running.
struct Target {
  Uuid member{};
  IpAddress address;       // monitor_address or address
  std::uint16_t port = 0;  // monitor_port or protocol_port, host byte order
  model::HealthMonitor settings;
  std::optional<model::Health> known;  // state before the first result (from the store)
};

// The members that the model wants probed: enabled monitor, member and pool.
std::vector<Target> targets(const model::Model& model, const model::HealthTable& health);

class Monitor {
 public:
  // `report` is called on the executor, once per change of a member's state, with the reason of the
  // last result
  // ("connection refused", "HTTP 500, expected 200", "timeout after 1 s").
  using Report =
      std::function<void(const Uuid& member, model::Health health, const std::string& reason)>;
  // `second` is how long a second of the settings lasts; tests shorten it.
  Monitor(boost::asio::any_io_executor executor, Report report,
          std::chrono::milliseconds second = std::chrono::seconds(1));
  ~Monitor();  // stops all probes; nothing is reported from then on
  Monitor(Monitor&&) noexcept = default;
  Monitor& operator=(Monitor&&) = delete;

  // Starts, stops and restarts probes so that exactly these run. Call again after every change of
  // the model.
  void set_targets(std::vector<Target> targets);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::health
