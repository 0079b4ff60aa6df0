#include "health/poller.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>

namespace sluice::health {

namespace asio = boost::asio;
using boost::system::error_code;

// While there are events, they gather for so long; a probe takes a few of them.
constexpr auto pause = std::chrono::milliseconds(2);
constexpr int most_per_turn = 256;

struct Poller::State {
  explicit State(const asio::any_io_executor& executor)
      : descriptor(epoll_create1(EPOLL_CLOEXEC)), idle(executor), timer(executor) {}
  ~State() { close(descriptor); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static void wait(const std::shared_ptr<State>& state);
  static void look(const std::shared_ptr<State>& state);

  int descriptor;
  // The loop holds the descriptor only while nothing happens, because it wakes at every event of a
  // descriptor that it holds, whether somebody waits for it or not.
  asio::posix::stream_descriptor idle;
  asio::steady_timer timer;
  bool closed = false;
};

void Poller::State::wait(const std::shared_ptr<State>& state) {
  state->idle.assign(state->descriptor);
  state->idle.async_wait(asio::posix::stream_descriptor::wait_read,
                         [state](const error_code& error) {
                           if (error) return;
                           state->idle.release();
                           look(state);
                         });
}

void Poller::State::look(const std::shared_ptr<State>& state) {
  std::array<epoll_event, most_per_turn> events;
  const int count = epoll_wait(state->descriptor, events.data(), most_per_turn, 0);
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    static_cast<Handler*>(event.data.ptr)->ready(event.events);
  }
  if (count <= 0) return wait(state);
  state->timer.expires_after(pause);
  state->timer.async_wait([state](const error_code& error) {
    if (!error && !state->closed) look(state);
  });
}

Poller::Poller(asio::any_io_executor executor) : state_(std::make_shared<State>(executor)) {
  State::wait(state_);
}

Poller::~Poller() {
  state_->closed = true;
  if (state_->idle.is_open()) state_->idle.release();
  state_->timer.cancel();
}

int Poller::add(int descriptor, std::uint32_t events, Handler& handler) {
  epoll_event event{};
  event.events = events | EPOLLET;
  event.data.ptr = &handler;
  return epoll_ctl(state_->descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : errno;
}

}  // namespace sluice::health
