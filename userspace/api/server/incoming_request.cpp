#include "api/server/incoming_request.hpp"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "api/language/fault.hpp"
#include "base/printable.hpp"

namespace sluice::api {
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace {

constexpr std::uint32_t header_limit = 16 * 1024;
constexpr std::uint64_t usual_body_limit = 1024 * 1024;
constexpr std::uint64_t large_body_limit = 64 * 1024 * 1024;
constexpr std::uint64_t strangers_body_limit = 16 * 1024;  // before the caller is known

}  // namespace

struct IncomingRequest::State {
  http::request_parser<http::string_body> parser;
  std::uint64_t body_limit = large_body_limit;  // until caller and route are known
};

IncomingRequest::IncomingRequest() : state_(std::make_unique<State>()) {
  state_->parser.header_limit(header_limit);
  state_->parser.body_limit(state_->body_limit);
}

IncomingRequest::~IncomingRequest() = default;

std::size_t IncomingRequest::take(std::string_view bytes, Error& error) {
  error = {};
  if (bytes.empty()) return 0;
  const auto taken = state_->parser.put(boost::asio::buffer(bytes), error);
  if (error == http::error::need_more) error = {};
  return taken;
}

bool IncomingRequest::has_header() const {
  return state_->parser.is_header_done();
}
bool IncomingRequest::is_whole() const {
  return state_->parser.is_done();
}

std::optional<Response> IncomingRequest::answer_to(const Error& error) const {
  if (error == http::error::body_limit) {
    return http_fault(413, fmt::format("The body is larger than {} bytes.", state_->body_limit));
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return http_fault(431, fmt::format("The header is larger than {} bytes.", header_limit));
  }
  // After the peer's end, an error of the socket or a timeout, which closes it, nobody is left to
  // answer.
  if (error == http::error::end_of_stream || error == http::error::partial_message ||
      error.category() != make_error_code(http::error::bad_method).category()) {
    return std::nullopt;
  }
  return http_fault(400, "The request is not valid HTTP: " + error.message());
}

IncomingRequest::Error IncomingRequest::header_too_large() {
  return http::error::buffer_overflow;
}

std::optional<Response> IncomingRequest::framing_problem() const {
  const auto& head = state_->parser.get();
  if (head.count(http::field::host) > 1) {
    return http_fault(400, "The request has more than one Host.");
  }
  const auto encodings = head.count(http::field::transfer_encoding);
  if (encodings == 0) return std::nullopt;
  const auto encoding = head[http::field::transfer_encoding];
  if (encodings > 1 || !beast::iequals(encoding, "chunked")) {
    return http_fault(501, fmt::format("The transfer encoding '{}' is not known here (only chunked "
                                       "is).",
                                       printable({encoding.data(), encoding.size()})));
  }
  if (head.count(http::field::content_length) != 0 || head.version() < 11) {
    return http_fault(400, "The request's length is given in two ways.");
  }
  return std::nullopt;
}

Credentials IncomingRequest::credentials() const {
  const auto& head = state_->parser.get();
  const auto field = [&](auto name) {
    const auto value = head[name];
    return std::string_view(value.data(), value.size());
  };
  return {.method = {head.method_string().data(), head.method_string().size()},
          .target = {head.target().data(), head.target().size()},
          .host = field(http::field::host),
          .token = field("X-Auth-Token"),
          .authorization = field(http::field::authorization),
          .origin = field(http::field::origin),
          .fetch_site = field("Sec-Fetch-Site"),
          .content_type = field(http::field::content_type),
          .has_body = head.chunked() || (head.count(http::field::content_length) != 0 &&
                                         head[http::field::content_length] != "0"),
          .cookies = field(http::field::cookie)};
}

bool IncomingRequest::is_large() const {
  if (state_->parser.content_length().value_or(0) <= usual_body_limit) return false;
  const auto target = state_->parser.get().target();
  const auto path = path_of({target.data(), target.size()});
  return path == "/v1/batch" || path == "/v1/restore";
}

IncomingRequest::Error IncomingRequest::limit_body(Room room) {
  state_->body_limit = room == Room::strangers ? strangers_body_limit
                       : room == Room::usual   ? usual_body_limit
                                               : large_body_limit;
  state_->parser.body_limit(state_->body_limit);
  if (state_->parser.content_length().value_or(0) > state_->body_limit) {
    return http::error::body_limit;
  }
  return {};
}

bool IncomingRequest::expects_continue() const {
  return beast::iequals(state_->parser.get()[http::field::expect], "100-continue");
}

bool IncomingRequest::keeps_alive() const {
  return state_->parser.get().keep_alive();
}
bool IncomingRequest::is_head() const {
  return state_->parser.get().method() == http::verb::head;
}
bool IncomingRequest::takes_chunks() const {
  return state_->parser.get().version() >= 11;
}

Request IncomingRequest::request() const {
  const auto& message = state_->parser.get();
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  request.body = message.body();
  request.content_type = std::string(message[http::field::content_type]);
  request.accept = std::string(message[http::field::accept]);
  request.subject_token = std::string(message["X-Subject-Token"]);
  if (const auto id = std::string(message["X-Openstack-Request-Id"]); is_request_id(id)) {
    request.id = id;
  }
  request.cookies = std::string(message[http::field::cookie]);
  request.known_version = std::string(message[http::field::if_none_match]);
  if (auto host = message[http::field::host]; !host.empty()) request.host = std::string(host);
  return request;
}

std::string head_of(const Response& response, bool keep_alive, bool in_chunks) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  auto bytes = fmt::format("HTTP/1.1 {} {}\r\n", response.status,
                           std::string_view(reason.data(), reason.size()));
  const auto add = [&](std::string_view name, std::string_view value) {
    bytes.append(name).append(": ").append(value).append("\r\n");
  };
  if (!keep_alive) add("Connection", "close");
  add("x-openstack-request-id", response.request_id);
  if (!response.allow.empty()) add("Allow", response.allow);
  for (const auto& [name, value] : response.headers) add(name, value);
  if (response.status == 401) add("WWW-Authenticate", "Bearer");
  const bool of_unknown_length = response.feed || response.pieces;
  if (of_unknown_length || !response.body.empty()) add("Content-Type", response.content_type);
  if (!of_unknown_length) add("Content-Length", std::to_string(response.body.size()));
  if (response.pieces && in_chunks) add("Transfer-Encoding", "chunked");
  bytes += "\r\n";
  return bytes;
}

std::string as_http(const Response& response, bool keep_alive) {
  return head_of(response, keep_alive) + response.body;
}

}  // namespace sluice::api
