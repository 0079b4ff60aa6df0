#include "api/language/fault.hpp"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <cerrno>

#include "base/printable.hpp"
#include "base/uuid.hpp"
#include "model/limits.hpp"
#include "model/supported.hpp"

namespace sluice::api {
namespace {

unsigned status_of(const Error& error) {
  // The service's state is elsewhere, and it can't be reached.
  if (error.kind == ErrorKind::system && error.system_errno == EHOSTUNREACH) return 503;
  switch (error.kind) {
    case ErrorKind::invalid:
      return 400;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::conflict:
      return 409;
    case ErrorKind::forbidden:
      return 403;
    case ErrorKind::unsupported:
      return 501;
    case ErrorKind::system:
    case ErrorKind::internal:
      return 500;
  }
  return 500;
}

// A fault quotes what the client sent, which need not be UTF-8; JSON has to be.
std::string quotable(std::string text) {
  return is_printable(text) ? std::move(text) : printable(text);
}

}  // namespace

Response fault(const Error& error) {
  Response response;
  response.status = status_of(error);
  response.request_id = new_request_id();
  if (response.status == 500) response.internal_error = error.text();
  response.body = boost::json::serialize(boost::json::object{
      {"faultcode", response.status < 500 ? "Client" : "Server"},
      {"faultstring", quotable(error.text())},
      {"debuginfo", nullptr},
  });
  return response;
}

Response http_fault(unsigned status, std::string description) {
  Response response;
  response.status = status;
  response.request_id = new_request_id();
  response.body = boost::json::serialize(boost::json::object{
      {"code", status},
      {"title", title(status)},
      {"description", quotable(std::move(description))},
  });
  return response;
}

std::string_view title(unsigned status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Payload Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

std::string new_request_id() {
  return "req-" + to_string(new_uuid());
}

bool is_request_id(std::string_view text) {
  constexpr std::string_view prefix = "req-";
  return text.starts_with(prefix) && parse_uuid(text.substr(prefix.size()));
}

Error invalid_input(std::string_view attribute, std::string_view value, std::string_view problem) {
  return model::invalid_attribute(attribute, value, problem).value();
}

Error unsupported_option(std::string_view what) {
  return model::unsupported_option(what).value();
}

Error not_found(std::string_view title, std::string_view id) {
  return {ErrorKind::not_found, fmt::format("{} {} not found.", title, id), {}, 0};
}

Error validation_failure(std::string_view detail) {
  return {ErrorKind::invalid, fmt::format("Validation failure: {}", detail), {}, 0};
}

}  // namespace sluice::api
