#include "api/server/page_door.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "api/language/fault.hpp"

namespace sluice::api {
namespace {

namespace json = boost::json;

// The cookie's new word; empty: none any more.
Response with_cookie(const Request& request, std::string_view word) {
  Response response;
  response.status = 204;
  response.request_id = new_request_id();
  response.headers.emplace_back("Set-Cookie", cookie_for(word, request.scheme == "https"));
  return response;
}

std::string token_in(const std::string& body) {
  boost::system::error_code error;
  const auto value = json::parse(body, error);
  const auto* object = error ? nullptr : value.if_object();
  const auto* token = object ? object->if_contains("token") : nullptr;
  return token && token->is_string() ? std::string(token->get_string()) : std::string();
}

DoorAnswer sign_in(const Access& access, const Request& request) {
  auto opened = access.open_session(token_in(request.body));
  if (opened) return {with_cookie(request, opened->word), {}, opened->name};
  auto response = http_fault(opened.error().status, opened.error().text);
  return {std::move(response), std::move(opened.error())};
}

Response about_caller(const Access& access, const Request& request) {
  const auto& who = request.who.name;
  Response response;
  response.request_id = new_request_id();
  response.body = json::serialize(
      json::object{{"who", who.empty() ? json::value() : json::value(who)},
                   {"token", access.takes_tokens()},
                   {"session", !who.empty() && !session_in(request.cookies).empty()}});
  return response;
}

}  // namespace

DoorAnswer answer_at_door(const Access& access, const Request& request) {
  if (request.method == "GET") return {about_caller(access, request)};
  if (request.method == "POST") return sign_in(access, request);
  if (request.method == "DELETE") {
    access.close_session(session_in(request.cookies));
    return {with_cookie(request, {})};
  }
  auto response = http_fault(405, "A session is opened by POST and ended by DELETE.");
  response.allow = "DELETE, GET, POST";
  return {std::move(response)};
}

}  // namespace sluice::api
