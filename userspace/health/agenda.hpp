// Agenda: runs many alarms on one timer of the event loop.
//
// An alarm is a node of a tree that its owner holds: setting, moving and dropping one allocates
// nothing and asks nothing of the kernel, and an alarm that dies leaves the agenda. Times are
// rounded up to a grid, so that 10,000 alarms a second wake the process 125 times, not 10,000
// times.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/intrusive/set_hook.hpp>
#include <chrono>
#include <memory>

namespace sluice::health {

class Agenda {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds grid{8};

  using Hook =
      boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  class Alarm : public Hook {
   public:
    virtual ~Alarm() = default;

   private:
    friend class Agenda;
    // Is called on the executor, once per set(); may set this and other alarms.
    virtual void ring() = 0;

    Clock::time_point due_{};
  };

  explicit Agenda(boost::asio::any_io_executor executor);
  ~Agenda();  // no alarm rings from then on

  // Sets the alarm, or moves it if it is set already.
  void set(Alarm& alarm, Clock::time_point due);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::health
