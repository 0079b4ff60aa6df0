#include "health/external_prober.hpp"

#include <fmt/format.h>

#include <sys/socket.h>
#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <optional>

#include "health/check_answer.hpp"
#include "health/check_message.hpp"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using Verdict = ProbeResult::Verdict;

constexpr const char* gone = "the helper that runs checks has ended: restart sluiced";

CheckRequest request_for(std::uint64_t id, const std::string& check, const Endpoint& member,
                         std::uint32_t seconds) {
  CheckRequest request{};
  request.kind = CheckRequest::Kind::start;
  request.id = id;
  request.port = member.port();
  request.seconds = std::max(seconds, 1U);
  check.copy(request.check, sizeof request.check - 1);
  member.address().to_string().copy(request.address, sizeof request.address - 1);
  return request;
}

ProbeResult result_of(const CheckReply& reply) {
  const std::string_view text(reply.text, std::min<std::size_t>(reply.length, sizeof reply.text));
  switch (reply.kind) {
    case CheckReply::Kind::ended:
      return judge_check(reply.status, text);
    case CheckReply::Kind::flooded:
      return {Verdict::failed,
              fmt::format("wrote more than {} KiB of output", most_check_output / 1024)};
    default:
      return {Verdict::none, std::string(text)};
  }
}

}  // namespace

class ExternalProber::Question final : public Probe {
 public:
  Question(std::shared_ptr<State> state, CheckRequest request, Done done)
      : Probe(std::move(done)), state_(std::move(state)), request_(request) {}
  ~Question() override;

  const CheckRequest& request() const { return request_; }
  std::chrono::steady_clock::duration extra_time(std::chrono::milliseconds time) const override;
  void sent(Time now) { sent_ = now; }
  void answer(ProbeResult result) { finish(std::move(result)); }

 private:
  std::shared_ptr<State> state_;
  CheckRequest request_;
  std::optional<Time> sent_;  // unset: it waits for its turn
};

// Handlers on the loop share the state: they may outlive the ExternalProber.
struct ExternalProber::State : std::enable_shared_from_this<ExternalProber::State> {
  State(const asio::any_io_executor& executor, const UniqueFd& helper, unsigned at_once_,
        std::function<Time()> clock_)
      : socket(executor, fcntl(helper.get(), F_DUPFD_CLOEXEC, 0)),
        at_once(at_once_),
        clock(std::move(clock_)) {}

  void listen();
  void receive();
  void take(const CheckReply& reply);
  void fail_all(const char* why);
  void start_waiting();
  void stop(std::uint64_t id);
  int send(const CheckRequest& request);

  asio::posix::stream_descriptor socket;
  unsigned at_once;
  std::function<Time()> clock;
  bool lost = false;
  std::uint64_t last_id = 0;
  std::list<Question*> waiting;
  std::map<std::uint64_t, Question*> running;  // null: nobody waits for its end any more
};

ExternalProber::Question::~Question() {
  state_->waiting.remove(this);
  if (const auto found = state_->running.find(request_.id);
      found != state_->running.end() && found->second == this) {
    found->second = nullptr;
    state_->stop(request_.id);
  }
}

std::chrono::steady_clock::duration ExternalProber::Question::extra_time(
    std::chrono::milliseconds time) const {
  return sent_ ? *sent_ + time - state_->clock() : time;
}

// Returns 0 or errno.
int ExternalProber::State::send(const CheckRequest& request) {
  const auto sent =
      ::send(socket.native_handle(), &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(sizeof request) ? 0 : errno;
}

void ExternalProber::State::stop(std::uint64_t id) {
  CheckRequest request{};
  request.kind = CheckRequest::Kind::stop;
  request.id = id;
  send(request);  // if it is lost, the helper stops the program by itself a little later
}

void ExternalProber::State::listen() {
  socket.async_wait(asio::posix::stream_descriptor::wait_read,
                    [self = shared_from_this()](const boost::system::error_code& error) {
                      if (error) return;
                      self->receive();
                      if (!self->lost && self->socket.is_open()) self->listen();
                    });
}

void ExternalProber::State::receive() {
  while (socket.is_open()) {
    CheckReply reply{};
    const auto got = recv(socket.native_handle(), &reply, sizeof reply, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      lost = true;
      return fail_all(gone);
    }
    take(reply);
  }
}

void ExternalProber::State::take(const CheckReply& reply) {
  if (reply.kind == CheckReply::Kind::anew) {
    fail_all("the helper that runs checks was started anew");
    return start_waiting();
  }
  const auto found = running.find(reply.id);
  if (found == running.end()) return;  // an earlier helper's
  auto* const question = found->second;
  running.erase(found);
  start_waiting();
  if (question) question->answer(result_of(reply));
}

// Ends the questions that the helper has; with it gone, also those that wait.
void ExternalProber::State::fail_all(const char* why) {
  auto ended = std::exchange(running, {});
  if (lost) {
    for (auto* question : std::exchange(waiting, {}))
      ended.emplace(question->request().id, question);
  }
  for (const auto& [id, question] : ended) {
    if (question) question->answer({Verdict::none, why});
  }
}

void ExternalProber::State::start_waiting() {
  while (!waiting.empty() && running.size() < at_once) {
    auto* const question = waiting.front();
    if (send(question->request()) != 0) return;  // with the next answer
    waiting.pop_front();
    running.emplace(question->request().id, question);
    question->sent(clock());
  }
}

ExternalProber::ExternalProber(const asio::any_io_executor& executor, const UniqueFd& helper,
                               unsigned at_once, std::function<Time()> clock)
    : state_(std::make_shared<State>(executor, helper, at_once, std::move(clock))) {
  state_->listen();
}

ExternalProber::~ExternalProber() {
  state_->socket.close();
}

tl::expected<std::unique_ptr<Probe>, ProbeResult> ExternalProber::start(const std::string& check,
                                                                        const Endpoint& member,
                                                                        std::uint32_t seconds,
                                                                        Probe::Done done) {
  if (state_->lost) return tl::unexpected(ProbeResult{Verdict::none, gone});
  auto question = std::make_unique<Question>(
      state_, request_for(++state_->last_id, check, member, seconds), std::move(done));
  state_->waiting.push_back(question.get());
  state_->start_waiting();
  return question;
}

}  // namespace sluice::health
