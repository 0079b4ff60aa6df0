// ExternalProber: EXTERNAL probes. A helper process (check_helper.hpp) runs the programs; here they
// are asked for by name, and their answers are judged (check_answer.hpp).
//
// So many programs run at once; further probes wait for their turn, and their time begins when it
// comes. If the helper dies, its probes say nothing about their members, and the next helper goes
// on; without a helper no probe can begin.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "base/fd.hpp"
#include "health/probe.hpp"
#include "health/socket.hpp"

namespace sluice::health {

class ExternalProber {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `helper` is the daemon's end of the helper's socket, which it duplicates. `clock` is for tests.
  ExternalProber(const boost::asio::any_io_executor& executor, const UniqueFd& helper,
                 unsigned at_once, std::function<Time()> clock = std::chrono::steady_clock::now);
  ~ExternalProber();  // after all its probes
  ExternalProber(const ExternalProber&) = delete;
  ExternalProber& operator=(const ExternalProber&) = delete;

  // Asks this check about the member, or queues the question.
  tl::expected<std::unique_ptr<Probe>, ProbeResult> start(const std::string& check,
                                                          const Endpoint& member,
                                                          std::uint32_t seconds, Probe::Done done);

 private:
  struct State;
  class Question;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::health
