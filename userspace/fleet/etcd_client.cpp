#include "fleet/etcd_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/url/parse.hpp>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/free_with.hpp"
#include "base/worker.hpp"
#include "fleet/gateway.hpp"

namespace sluice::fleet {
namespace {

constexpr long connect_patience_ms = 1000;
constexpr long patience_ms = 2000;
// A watch waits for news, so a member that dies without a word is noticed by its kernel's silence:
// after three seconds it is asked, once a second, this many times. By default that takes eleven
// minutes.
constexpr long silence_s = 3;
constexpr int probes_of_silence = 3;

// curl has an option for it from 8.9 on.
int limit_probes(void*, curl_socket_t socket, curlsocktype) {
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes_of_silence, sizeof probes_of_silence);
  return CURL_SOCKOPT_OK;
}

// etcd's largest request is 1.5 MiB unless it is told otherwise, and a reading has all of them.
constexpr std::size_t largest_answer = std::size_t{1} << 30U;

using Handle = std::unique_ptr<CURL, FreeWith<curl_easy_cleanup>>;
using Multi = std::unique_ptr<CURLM, FreeWith<curl_multi_cleanup>>;
using Headers = std::unique_ptr<curl_slist, FreeWith<curl_slist_free_all>>;

struct Exchange {
  unsigned status = 0;  // 0: there was no answer
  std::string body;
  std::string error;  // why
  bool was_sent = false;
};

std::size_t append(char* data, std::size_t size, std::size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  if (body.size() + size * count > largest_answer) return 0;
  body.append(data, size * count);
  return size * count;
}

int stop_if(void* flag, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return *static_cast<const std::atomic<bool>*>(flag) ? 1 : 0;
}

// The connection of one thread to one member at a time.
class Session {
 public:
  Session(const EtcdAccess& access, const std::atomic<bool>& stopping)
      : access_(access), stopping_(stopping), handle_(curl_easy_init()) {}

  const std::string& member() const { return access_.members[member_]; }
  void go_to_next_member() {
    member_ = (member_ + 1) % access_.members.size();
    token_.clear();  // simple tokens are one member's own
  }

  Exchange post(const gateway::Request& request) {
    std::string body;
    const auto headers = prepare(request, append, &body);
    curl_easy_setopt(handle_.get(), CURLOPT_TIMEOUT_MS, patience_ms);
    const auto result = curl_easy_perform(handle_.get());
    return outcome(result, std::move(body));
  }

  // Signs in if etcd wants that; an answer that is none: it can't be done.
  Exchange post_signed_in(const gateway::Request& request) {
    auto exchange = post(request);
    if (access_.user.empty() || exchange.status == 0 || exchange.status == 200 ||
        !gateway::asks_for_authentication(exchange.status, exchange.body))
      return exchange;
    if (const auto failed = sign_in()) return *failed;
    return post(request);
  }

  std::optional<Exchange> sign_in() {
    token_.clear();
    auto answer = post(gateway::authentication(access_.user, access_.password));
    if (answer.status != 200) return answer;
    auto token = gateway::to_token(answer.body);
    if (token) token_ = std::move(*token);
    return std::nullopt;
  }
  void forget_token() { token_.clear(); }
  bool is_signed_in() const { return access_.user.empty() || !token_.empty(); }

  using Write = std::size_t (*)(char*, std::size_t, std::size_t, void*);
  Headers prepare(const gateway::Request& request, Write write, void* to) {
    auto* handle = handle_.get();
    curl_easy_reset(handle);
    url_ = member() + request.path;
    Headers headers(curl_slist_append(nullptr, "Content-Type: application/json"));
    if (!token_.empty()) curl_slist_append(headers.get(), ("Authorization: " + token_).c_str());
    curl_slist_append(headers.get(), "Expect:");
    curl_easy_setopt(handle, CURLOPT_URL, url_.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_COPYPOSTFIELDS, request.body.c_str());
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, connect_patience_ms);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, write);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, to);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, stop_if);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &stopping_);
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPIDLE, silence_s);
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPINTVL, 1L);
    curl_easy_setopt(handle, CURLOPT_SOCKOPTFUNCTION, limit_probes);
    if (!access_.ca.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, access_.ca.c_str());
    if (!access_.certificate.empty()) {
      curl_easy_setopt(handle, CURLOPT_SSLCERT, access_.certificate.c_str());
      curl_easy_setopt(handle, CURLOPT_SSLKEY, access_.key.c_str());
    }
    return headers;
  }
  CURL* handle() const { return handle_.get(); }

  Exchange outcome(CURLcode result, std::string body) const {
    Exchange exchange{0, std::move(body), {}, false};
    long status = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (result == CURLE_OK) {
      exchange.status = static_cast<unsigned>(status);
      return exchange;
    }
    curl_off_t until_sending = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_PRETRANSFER_TIME_T, &until_sending);
    exchange.was_sent = until_sending > 0;
    exchange.error =
        result == CURLE_OPERATION_TIMEDOUT ? "no answer in time" : curl_easy_strerror(result);
    return exchange;
  }

 private:
  const EtcdAccess& access_;
  const std::atomic<bool>& stopping_;
  Handle handle_;
  std::size_t member_ = 0;
  std::string url_, token_;
};

// What the watch's thread has to do.
struct WatchOrder {
  std::uint64_t number = 0;
  std::string prefix;
  std::int64_t from = 0;
};

}  // namespace

struct EtcdClient::State {
  State(boost::asio::any_io_executor where, EtcdAccess how)
      : executor(std::move(where)),
        access(std::move(how)),
        calls_session(access, stopping),
        watch_session(access, stopping),
        multi(curl_multi_init()),
        calls([this](auto outcome) { boost::asio::post(executor, std::move(outcome)); }) {}
  ~State() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    news.notify_all();
    curl_multi_wakeup(multi.get());
    if (watcher.joinable()) watcher.join();
  }

  template <typename T>
  void call(gateway::Request request, bool may_be_repeated, Answer<T> (*read)(const std::string&),
            Done<T> done);
  template <typename T>
  Answer<T> try_members(const gateway::Request& request, bool may_be_repeated,
                        Answer<T> (*read)(const std::string&));
  void watch();
  void follow(const WatchOrder& order);
  void tell(const WatchOrder& order, const std::string& line);
  void tell_end(const WatchOrder& order, WatchEnd end);

  boost::asio::any_io_executor executor;
  const EtcdAccess access;
  std::atomic<bool> stopping = false;
  Session calls_session, watch_session;
  Multi multi;

  // Of the executor's thread.
  std::uint64_t watches = 0;
  Listener listener;

  std::mutex mutex;  // guards the order
  std::condition_variable news;
  std::optional<WatchOrder> ordered;
  std::thread watcher;
  Worker calls;  // last: its end uses the rest
};

// Runs on the thread of the calls.
template <typename T>
Answer<T> EtcdClient::State::try_members(const gateway::Request& request, bool may_be_repeated,
                                         Answer<T> (*read)(const std::string&)) {
  std::string told;
  bool perhaps = false;
  for (std::size_t tried = 0; tried < access.members.size() && !stopping; tried++) {
    const auto member = calls_session.member();
    const auto exchange = calls_session.post_signed_in(request);
    if (exchange.status == 200) return read(exchange.body);
    auto failure = exchange.status != 0 ? gateway::to_failure(exchange.status, exchange.body)
                                        : Failure{exchange.error, exchange.was_sent, false};
    told += fmt::format("{}{}: {}", told.empty() ? "" : "; ", member, failure.text);
    perhaps = perhaps || failure.perhaps_it_happened;
    if (failure.refused) return tl::unexpected(Failure{told, perhaps, true});
    calls_session.go_to_next_member();
    if (perhaps && !may_be_repeated) break;
  }
  return tl::unexpected(Failure{told, perhaps && !may_be_repeated, false});
}

template <typename T>
void EtcdClient::State::call(gateway::Request request, bool may_be_repeated,
                             Answer<T> (*read)(const std::string&), Done<T> done) {
  calls.run([this, request = std::move(request), may_be_repeated, read,
             done = std::move(done)]() -> std::function<void()> {
    auto answer = try_members(request, may_be_repeated, read);
    return [done, answer = std::move(answer)] { done(answer); };
  });
}

// Runs on the watch's thread.
void EtcdClient::State::watch() {
  for (;;) {
    std::unique_lock lock(mutex);
    news.wait(lock, [this] { return stopping || ordered; });
    if (stopping) return;
    const auto order = std::move(*ordered);
    ordered.reset();
    lock.unlock();
    follow(order);
  }
}

void EtcdClient::State::follow(const WatchOrder& order) {
  if (!watch_session.is_signed_in()) watch_session.sign_in();
  std::string rest;
  const auto headers =
      watch_session.prepare(gateway::watch(order.prefix, order.from), append, &rest);
  curl_multi_add_handle(multi.get(), watch_session.handle());
  const auto is_over = [this] {
    const std::lock_guard lock(mutex);
    return stopping || ordered.has_value();
  };
  int running = 1;
  while (running != 0 && !is_over()) {
    curl_multi_perform(multi.get(), &running);
    for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
      tell(order, rest.substr(0, end));
      rest.erase(0, end + 1);
    }
    if (running != 0) curl_multi_poll(multi.get(), nullptr, 0, 1000, nullptr);
  }
  auto result = CURLE_OK;
  int left = 0;
  while (const auto* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  }
  const auto exchange = watch_session.outcome(result, std::move(rest));
  curl_multi_remove_handle(multi.get(), watch_session.handle());
  if (running != 0) return;  // another order, or the end
  const auto member = watch_session.member();
  if (exchange.status != 200 && gateway::asks_for_authentication(exchange.status, exchange.body) &&
      !access.user.empty()) {
    watch_session.sign_in();
  } else {
    watch_session.go_to_next_member();
  }
  tell_end(order, {fmt::format("{}: {}", member,
                               exchange.error.empty() ? "it ended the watch" : exchange.error)});
}

void EtcdClient::State::tell(const WatchOrder& order, const std::string& line) {
  auto told = gateway::to_watch_line(line);
  if (told.end) {
    watch_session.forget_token();  // it may be why
    return tell_end(order, std::move(*told.end));
  }
  boost::asio::post(executor, [this, number = order.number, told = std::move(told)] {
    if (number != watches) return;
    const auto changed = listener.changed;  // another watch may take its place meanwhile
    changed(told.header, told.changes);
  });
}

// A listener hears of one end only.
void EtcdClient::State::tell_end(const WatchOrder& order, WatchEnd end) {
  boost::asio::post(executor, [this, number = order.number, end = std::move(end)] {
    if (number != watches) return;
    watches++;
    const auto ended = listener.ended;
    ended(end);
  });
}

EtcdClient::EtcdClient(boost::asio::any_io_executor executor, EtcdAccess access) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  state_ = std::make_unique<State>(std::move(executor), std::move(access));
}
EtcdClient::~EtcdClient() {
  state_.reset();
  curl_global_cleanup();
}

void EtcdClient::transact(Transaction transaction, Done<TransactionReply> done) {
  state_->call<TransactionReply>(gateway::transaction(transaction), false,
                                 gateway::to_transaction_reply, std::move(done));
}

void EtcdClient::read(std::string key, Extent extent, Done<Reading> done) {
  state_->call<Reading>(gateway::reading(key, extent), true, gateway::to_reading, std::move(done));
}

void EtcdClient::remembers(std::string key, std::int64_t revision, Done<bool> done) {
  state_->call<Reading>(gateway::past_reading(key, revision), true, gateway::to_reading,
                        [done = std::move(done)](const Answer<Reading>& reading) {
                          if (reading) return done(true);
                          if (gateway::is_compacted(reading.error())) return done(false);
                          done(tl::unexpected(reading.error()));
                        });
}

void EtcdClient::grant(std::chrono::seconds life, Done<std::int64_t> done) {
  state_->call<std::int64_t>(gateway::grant(life), true, gateway::to_lease, std::move(done));
}

void EtcdClient::renew(std::int64_t lease, Done<bool> done) {
  state_->call<bool>(gateway::renewal(lease), true, gateway::to_renewal, std::move(done));
}

void EtcdClient::watch(std::string prefix, std::int64_t from, Listener listener) {
  auto& state = *state_;
  state.listener = std::move(listener);
  {
    const std::lock_guard lock(state.mutex);
    state.ordered = WatchOrder{++state.watches, std::move(prefix), from};
  }
  state.news.notify_all();
  curl_multi_wakeup(state.multi.get());
  if (!state.watcher.joinable()) state.watcher = std::thread([&state] { state.watch(); });
}

void EtcdClient::after(std::chrono::milliseconds wait, std::function<void()> then) {
  const auto timer = std::make_shared<boost::asio::steady_timer>(state_->executor, wait);
  timer->async_wait([timer, then = std::move(then)](const boost::system::error_code& error) {
    if (!error) then();
  });
}

Result<void> read_credentials(const std::filesystem::path& file, EtcdAccess& access) {
  std::ifstream in(file);
  std::string line;
  if (!std::getline(in, line))
    return fail_errno(in.eof() ? ENODATA : errno, "read the credentials " + file.string());
  const auto colon = line.find(':');
  if (colon == std::string::npos || colon == 0) {
    return fail(ErrorKind::invalid,
                fmt::format("{}: the first line is not USER:PASSWORD", file.string()));
  }
  access.user = line.substr(0, colon);
  access.password = line.substr(colon + 1);
  return {};
}

Result<std::vector<std::string>> parse_members(const std::string& text) {
  std::vector<std::string> members;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    auto member = text.substr(at, end - at);
    at = end + 1;
    while (member.ends_with('/')) member.pop_back();
    const auto url = boost::urls::parse_absolute_uri(member);
    if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty() ||
        !url->path().empty() || url->has_query()) {
      return fail(
          ErrorKind::invalid,
          fmt::format("'{}' is not the address of an etcd member: https://NAME:PORT", member));
    }
    members.push_back(std::move(member));
  }
  return members;
}

}  // namespace sluice::fleet
