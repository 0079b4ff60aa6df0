// How a probe says goodbye matters at 10,000 probes a second: whoever closes a TCP connection first
// keeps it for a minute in TIME_WAIT, which would be 600,000 sockets. So, as HAProxy does:
//  - every probe closes with a reset (SO_LINGER 0): its result is known and nothing is owed to the
//  peer;
//  - a TCP probe also delays the last ACK of the handshake, so that the reset comes instead of it:
//  the member's kernel
//    drops the half-open connection and its application never sees (or logs) it;
//  - an HTTP probe first reads the body (bounded): servers log a broken pipe when a client leaves
//  in mid-answer.
#include "health/probe.hpp"

#include <netinet/tcp.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "health/expected_codes.hpp"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Verdict = ProbeResult::Verdict;

constexpr std::size_t header_limit = 64 * 1024;
constexpr std::size_t body_limit = 64 * 1024;  // of the answer's body, read and thrown away
constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);

std::string seconds(std::chrono::milliseconds time) {
  if (time.count() % 1000 == 0) return std::to_string(time.count() / 1000) + " s";
  return std::to_string(time.count()) + " ms";
}

bool our_own_trouble(const error_code& error) {
  using boost::system::errc::errc_t;
  for (const auto local :
       {boost::system::errc::too_many_files_open,
        boost::system::errc::too_many_files_open_in_system, boost::system::errc::no_buffer_space,
        boost::system::errc::not_enough_memory, boost::system::errc::address_not_available}) {
    if (error == local) return true;
  }
  return false;
}

ProbeResult failed(const error_code& error, std::chrono::milliseconds timeout) {
  if (error == beast::error::timeout) return {Verdict::failed, "timeout after " + seconds(timeout)};
  if (our_own_trouble(error)) return {Verdict::none, error.message()};
  if (error == asio::error::connection_refused) return {Verdict::failed, "connection refused"};
  if (error == asio::error::connection_reset) return {Verdict::failed, "connection reset"};
  if (error == http::error::end_of_stream || error == http::error::partial_message) {
    return {Verdict::failed, "connection closed before a whole answer"};
  }
  if (error == http::error::header_limit) return {Verdict::failed, "header larger than 64 KiB"};
  if (error.category() == http::make_error_code(http::error::bad_version).category()) {
    return {Verdict::failed, "the answer is not HTTP: " + error.message()};
  }
  return {Verdict::failed, error.message()};
}

// Opened by hand because the options must be set before connecting.
error_code open(beast::tcp_stream& stream, const asio::ip::tcp& protocol, model::MonitorType type) {
  error_code error;
  auto& socket = stream.socket();
  socket.open(protocol, error);
  if (!error) socket.set_option(asio::socket_base::linger(true, 0), error);
  if (!error && type == model::MonitorType::tcp) {
    const int quick_ack =
        0;  // best effort: without it the application sees a connection that is reset
    setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_QUICKACK, &quick_ack, sizeof quick_ack);
  }
  return error;
}

http::request<http::empty_body> make_request(const asio::ip::tcp::endpoint& member,
                                             const model::HealthMonitor& settings) {
  http::request<http::empty_body> request;
  request.method_string(settings.http_method);
  request.target(settings.url_path);
  request.version(settings.http_version == "1.1" ? 11 : 10);
  request.set(http::field::user_agent, "sluice-health");
  if (request.version() == 11) {
    std::ostringstream address;
    address << member;
    request.set(http::field::host, settings.domain_name.value_or(address.str()));
    request.set(http::field::connection, "close");
  }
  return request;
}

using AnswerParser = http::response_parser<http::buffer_body>;

asio::awaitable<void> discard_body(beast::tcp_stream& stream, beast::flat_buffer& buffer,
                                   AnswerParser& parser) {
  std::array<char, 8192> chunk;
  for (std::size_t left = body_limit; !parser.is_done() && left >= chunk.size();
       left -= chunk.size()) {
    parser.get().body().data = chunk.data();
    parser.get().body().size = chunk.size();
    parser.get().body().more = true;
    const auto [error, size] = co_await http::async_read(stream, buffer, parser, as_tuple);
    if (error && error != http::error::need_buffer) co_return;  // the verdict stands on the header
  }
}

asio::awaitable<ProbeResult> ask(beast::tcp_stream& stream, const asio::ip::tcp::endpoint& member,
                                 const model::HealthMonitor& settings,
                                 std::chrono::milliseconds timeout) {
  const auto request = make_request(member, settings);
  if (const auto [error, size] = co_await http::async_write(stream, request, as_tuple); error) {
    co_return failed(error, timeout);
  }

  beast::flat_buffer buffer;
  AnswerParser parser;
  parser.header_limit(header_limit);
  parser.body_limit(
      boost::none);  // a big page is healthy too; discard_body bounds what we read of it
  parser.skip(settings.http_method == "HEAD");
  if (const auto [error, size] = co_await http::async_read_header(stream, buffer, parser, as_tuple);
      error) {
    co_return failed(error, timeout);
  }

  const auto code = parser.get().result_int();
  const auto expected = ExpectedCodes::parse(settings.expected_codes);
  const bool healthy = expected && expected->contains(code);
  co_await discard_body(stream, buffer, parser);
  auto reason = "HTTP " + std::to_string(code);
  if (!healthy) reason += ", expected " + settings.expected_codes;
  co_return ProbeResult{healthy ? Verdict::healthy : Verdict::failed, std::move(reason)};
}

}  // namespace

asio::awaitable<ProbeResult> probe(asio::ip::tcp::endpoint member,
                                   const model::HealthMonitor& settings,
                                   std::chrono::milliseconds timeout) {
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  if (const auto error = open(stream, member.protocol(), settings.type))
    co_return failed(error, timeout);
  stream.expires_after(timeout);  // one deadline for all that follows
  if (const auto [error] = co_await stream.async_connect(member, as_tuple); error) {
    co_return failed(error, timeout);
  }
  if (settings.type == model::MonitorType::tcp)
    co_return ProbeResult{Verdict::healthy, "connected"};
  co_return co_await ask(stream, member, settings, timeout);
}

}  // namespace sluice::health
