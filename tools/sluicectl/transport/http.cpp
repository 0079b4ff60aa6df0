// The only file that knows Beast. Requests look synchronous from outside; inside, a coroutine makes
// the deadline hold for connecting, writing and reading alike, which blocking sockets can't.
#include "sluicectl/transport/http.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/url/parse.hpp>
#include <exception>
#include <filesystem>

namespace sluice::ctl {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using tcp = asio::ip::tcp;
using local = asio::local::stream_protocol;
using asio::use_awaitable;

constexpr std::size_t max_answer_bytes = 64 << 20;

using Request = http::request<http::string_body>;

template <typename Stream>
asio::awaitable<HttpAnswer> send_and_receive(Stream& stream, const Request& request) {
  co_await http::async_write(stream, request, use_awaitable);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(max_answer_bytes);
  co_await http::async_read(stream, buffer, parser, use_awaitable);
  const auto& response = parser.get();
  co_return HttpAnswer{static_cast<int>(response.result_int()), response.body(),
                       std::string(response["x-openstack-request-id"])};
}

asio::awaitable<HttpAnswer> over_socket(const Endpoint& endpoint, const Request& request,
                                        std::chrono::seconds limit) {
  beast::basic_stream<local, asio::any_io_executor> stream(co_await asio::this_coro::executor);
  stream.expires_after(limit);
  co_await stream.async_connect(local::endpoint(endpoint.socket), use_awaitable);
  co_return co_await send_and_receive(stream, request);
}

// The server's certificate must be for the host that was asked for, and signed by one we trust.
asio::awaitable<HttpAnswer> in_tls(beast::basic_stream<tcp, asio::any_io_executor> stream,
                                   const Endpoint& endpoint, const Request& request) {
  ssl::context context(ssl::context::tls_client);
  context.set_verify_mode(ssl::verify_peer);
  if (endpoint.cacert.empty()) {
    context.set_default_verify_paths();
  } else {
    context.load_verify_file(endpoint.cacert);
  }
  beast::ssl_stream<beast::basic_stream<tcp, asio::any_io_executor>> secure(std::move(stream),
                                                                            context);
  secure.set_verify_callback(ssl::host_name_verification(endpoint.host));
  SSL_set_tlsext_host_name(secure.native_handle(), endpoint.host.c_str());
  co_await secure.async_handshake(ssl::stream_base::client, use_awaitable);
  co_return co_await send_and_receive(secure, request);
}

asio::awaitable<HttpAnswer> over_tcp(const Endpoint& endpoint, const Request& request,
                                     std::chrono::seconds limit) {
  const auto executor = co_await asio::this_coro::executor;
  tcp::resolver resolver(executor);
  const auto found = co_await resolver.async_resolve(endpoint.host, endpoint.port, use_awaitable);
  beast::basic_stream<tcp, asio::any_io_executor> stream(executor);
  stream.expires_after(limit);
  co_await stream.async_connect(found, use_awaitable);
  if (endpoint.tls) co_return co_await in_tls(std::move(stream), endpoint, request);
  co_return co_await send_and_receive(stream, request);
}

std::string group_of(const std::filesystem::path& path) {
  struct stat status;
  // Whoever may not enter the directory needs the directory's group.
  if (::stat(path.c_str(), &status) != 0 && ::stat(path.parent_path().c_str(), &status) != 0)
    return "sluice";
  const auto* group = ::getgrgid(status.st_gid);
  return group ? group->gr_name : fmt::format("{}", status.st_gid);
}

// The libraries' texts ("The socket was closed due to a timeout", "partial message") in our words.
std::string reason(const boost::system::error_code& error) {
  if (error == beast::error::timeout) return "no answer in time";
  if (error == http::error::end_of_stream || error == asio::error::eof)
    return "the connection was closed before an answer came";
  if (error == http::error::partial_message) return "the answer was cut short";
  if (error == http::error::body_limit)
    return fmt::format("the answer is larger than {} MiB", max_answer_bytes >> 20);
  if (error == asio::error::connection_refused) return "connection refused";
  if (error == boost::system::errc::no_such_file_or_directory) return "no such file";
  if (error.category() == http::make_error_code(http::error::bad_version).category())
    return "what answers does not speak HTTP (" + error.message() + ")";
  return error.message();
}

tl::unexpected<Error> no_permission(const std::string& socket, int error) {
  const auto group = group_of(socket);
  if (group == "root")
    return tl::unexpected(Error{
        ErrorKind::system, fmt::format("no permission to use {}: it is for root only", socket),
        "use sudo; sluiced gives it to the group 'sluice' where there is one", error});
  return tl::unexpected(Error{
      ErrorKind::system,
      fmt::format("no permission to use {}: it is for root and the group '{}'", socket, group),
      fmt::format("join with 'sudo usermod -aG {} \"$USER\"' and log in again, or use sudo", group),
      error});
}

tl::unexpected<Error> unreachable(const Endpoint& endpoint,
                                  const boost::system::error_code& error) {
  const bool on_tcp = !endpoint.host.empty();
  if (!on_tcp && error == boost::system::errc::permission_denied)
    return no_permission(endpoint.socket, error.value());
  const auto where = on_tcp ? endpoint.host + ":" + endpoint.port : endpoint.socket;
  const bool nobody_there = error == asio::error::connection_refused ||
                            error == boost::system::errc::no_such_file_or_directory;
  const std::string hint =
      endpoint.tls && error.category() == asio::error::get_ssl_category()
          ? "check --endpoint, and --cacert where the certificate is the site's own"
      : on_tcp ? "check --endpoint, and that sluiced was started with --listen"
      : nobody_there
          ? "start it with 'sudo sluiced', or pass --socket"
          : "if it is sluiced that listens there, its log tells more; else pass --socket";
  return tl::unexpected(Error{ErrorKind::system,
                              fmt::format("no sluiced answers on {}: {}", where, reason(error)),
                              hint, error.value()});
}

class BeastTransport : public Transport {
 public:
  BeastTransport(Endpoint endpoint, std::string token, std::chrono::seconds limit)
      : endpoint_(std::move(endpoint)), token_(std::move(token)), limit_(limit) {}

  Result<HttpAnswer> exchange(const HttpRequest& wanted) override {
    if (endpoint_.socket.size() >= sizeof(sockaddr_un::sun_path))
      return fail(ErrorKind::system,
                  "the socket's path '" + endpoint_.socket + "' is longer than the kernel allows",
                  "pass a shorter --socket");
    const auto request = build(wanted);
    asio::io_context context;
    HttpAnswer answer;
    std::exception_ptr failure;
    asio::co_spawn(context,
                   endpoint_.host.empty() ? over_socket(endpoint_, request, limit_)
                                          : over_tcp(endpoint_, request, limit_),
                   [&](std::exception_ptr thrown, HttpAnswer received) {
                     failure = thrown;
                     answer = std::move(received);
                   });
    context.run();
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
      return unreachable(endpoint_, error.code());
    }
    return answer;
  }

 private:
  Request build(const HttpRequest& wanted) const {
    Request request(http::string_to_verb(wanted.method), endpoint_.prefix + wanted.target, 11);
    request.set(http::field::host, host_header());
    request.set(http::field::user_agent, "sluicectl");
    request.set(http::field::accept, "application/json");
    request.set(http::field::connection, "close");
    if (!token_.empty()) request.set("X-Auth-Token", token_);
    if (!wanted.body.empty()) request.set(http::field::content_type, "application/json");
    request.body() = wanted.body;
    request.prepare_payload();
    return request;
  }

  std::string host_header() const {
    if (endpoint_.host.empty()) return "localhost";
    const bool v6 = endpoint_.host.find(':') != std::string::npos;
    return (v6 ? "[" + endpoint_.host + "]" : endpoint_.host) + ":" + endpoint_.port;
  }

  Endpoint endpoint_;
  std::string token_;
  std::chrono::seconds limit_;
};

}  // namespace

Result<Endpoint> parse_endpoint(const std::string& text) {
  const auto url = boost::urls::parse_uri(text);
  const std::string hint = "give http://HOST:PORT or https://HOST:PORT";
  if (!url || url->host().empty())
    return fail(ErrorKind::invalid, "the endpoint '" + text + "' is not a URL", hint);
  if (url->scheme() != "http" && url->scheme() != "https")
    return fail(ErrorKind::unsupported, "the endpoint '" + text + "' is neither http nor https",
                hint);
  Endpoint endpoint;
  endpoint.tls = url->scheme() == "https";
  endpoint.host = url->host_address();
  endpoint.port = url->has_port() && !url->port().empty() ? std::string(url->port())
                  : endpoint.tls                          ? "443"
                                                          : "80";
  endpoint.prefix = std::string(url->encoded_path());
  while (endpoint.prefix.ends_with('/')) endpoint.prefix.pop_back();
  if (endpoint.prefix.ends_with("/v2.0")) endpoint.prefix.resize(endpoint.prefix.size() - 5);
  return endpoint;
}

std::unique_ptr<Transport> make_transport(Endpoint endpoint, std::string token,
                                          std::chrono::seconds limit) {
  return std::make_unique<BeastTransport>(std::move(endpoint), std::move(token), limit);
}

}  // namespace sluice::ctl
