#include "sluicectl/transport/client.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <set>

#include "base/uuid.hpp"
#include "sluicectl/transport/lost_answer.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

constexpr auto batch_path = "/v1/batch";
constexpr auto restore_path = "/v1/restore";
// 10,000 load balancers with their pools in one batch take some twenty seconds.
constexpr std::chrono::seconds limit_of_large_changes{300};

constexpr std::chrono::milliseconds first_pause{50};
constexpr std::chrono::milliseconds longest_pause{1000};
constexpr std::chrono::milliseconds patience{60000};

std::string string_at(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string with_query(const std::string& path, const Query& query) {
  std::string out = path;
  for (char separator = '?'; const auto& [key, value] : query) {
    out += std::exchange(separator, '&') + key + "=" + escaped(value);
  }
  return out;
}

// Reads a fault in one of its shapes: the load balancing API's, its router's, the Networking API's.
std::string fault_text(const HttpAnswer& answer) {
  boost::system::error_code error;
  const auto body = json::parse(answer.body, error);
  if (!error && body.is_object()) {
    const auto& object = body.get_object();
    for (const auto* key : {"faultstring", "description", "message"})
      if (auto text = string_at(object, key); !text.empty()) return text;
    if (const auto* nested = object.if_contains("NeutronError"); nested && nested->is_object())
      return string_at(nested->get_object(), "message");
  }
  return "the server gave no reason";
}

ErrorKind kind_of(int status) {
  if (status == 404) return ErrorKind::not_found;
  if (status == 409) return ErrorKind::conflict;
  if (status == 501) return ErrorKind::unsupported;
  return status >= 500 ? ErrorKind::internal : ErrorKind::invalid;
}

tl::unexpected<Error> fault(const HttpAnswer& answer) {
  // If the server is at fault, the request's id leads to its log line.
  const bool broke = answer.status >= 500 && answer.status != 501 && !answer.request_id.empty();
  const auto request = broke ? ", request " + answer.request_id : std::string();
  return fail(kind_of(answer.status),
              fmt::format("{} (HTTP {}{})", fault_text(answer), answer.status, request));
}

tl::unexpected<Error> strange(const std::string& target, std::string_view what) {
  return fail(ErrorKind::internal, fmt::format("the answer to {} {}", target, what),
              "is it sluiced that answers there, of the same version?");
}

// The path and query of the next page; empty if this is the last.
std::string next_page(const json::object& page, const std::string& collection) {
  const auto* links = page.if_contains(collection + "_links");
  if (!links || !links->is_array()) return {};
  for (const auto& link : links->get_array()) {
    if (!link.is_object() || string_at(link.get_object(), "rel") != "next") continue;
    const auto href = string_at(link.get_object(), "href");
    const auto url = boost::urls::parse_uri_reference(href);
    return url ? std::string(url->encoded_target()) : std::string();
  }
  return {};
}

tl::unexpected<Error> provisioning_failed(const json::object& object) {
  const auto why = string_at(object, "provisioning_error");
  return fail(ErrorKind::internal, "provisioning ended in ERROR" + (why.empty() ? "" : ": " + why),
              why.empty() ? "sluiced's log tells why" : "");
}

// Says whether sluiced keeps an event of this request, if it succeeds.
bool leaves_an_event(const HttpRequest& request) {
  if (request.method == "GET" || request.method == "HEAD") return false;
  return request.target == batch_path || request.target.starts_with(restore_path) ||
         !request.target.starts_with("/v1/");
}

}  // namespace

Error about(std::string_view what, Error error) {
  return error.kind == ErrorKind::system ? error : std::move(error).within(what);
}

std::string escaped(const std::string& text) {
  return boost::urls::encode(text, boost::urls::unreserved_chars);
}

std::string with_parent(const std::string& path, const std::string& parent_id) {
  const auto place = path.find("{}");
  return place == std::string::npos ? path : std::string(path).replace(place, 2, parent_id);
}

Client::Client(Transport& transport, Sleep sleep)
    : transport_(transport), sleep_(std::move(sleep)) {}

Result<HttpAnswer> Client::change(HttpRequest request) {
  if (!leaves_an_event(request)) return transport_.exchange(request);
  request.id = "req-" + to_string(new_uuid());
  auto answer = transport_.exchange(request);
  if (!answer || answer->status != 0) return answer;
  const auto found = find_lost_answer(transport_, request.id, sleep_);
  if (found.fate == LostAnswer::Fate::made && request.target == batch_path)
    return HttpAnswer{200, "{}", request.id};
  return tl::unexpected(lost_answer_error(found, request.id, answer->body));
}

Result<json::value> Client::body_of(const HttpRequest& request) {
  const auto answer = change(request);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status < 200 || answer->status > 299) return fault(*answer);
  if (answer->body.empty()) return json::value(nullptr);
  boost::system::error_code error;
  auto value = json::parse(answer->body, error);
  if (error) return strange(request.target, "is not JSON");
  return value;
}

Result<json::value> Client::request(const std::string& method, const std::string& target,
                                    const json::object* body) {
  return body_of({method, target, body ? json::serialize(*body) : ""});
}

Result<std::string> Client::download(const std::string& target) {
  auto answer = transport_.exchange({"GET", target, ""});
  if (!answer) return tl::unexpected(answer.error());
  if (answer->status != 200) return fault(*answer);
  return std::move(answer->body);
}

Result<json::value> Client::upload(const std::string& target, std::string file,
                                   const std::string& content_type) {
  return body_of({"POST", target, std::move(file), content_type, {}, limit_of_large_changes});
}

tl::expected<void, Client::Refusal> Client::batch(json::array requests, bool dry_run) {
  const json::object body{{"dry_run", dry_run}, {"requests", std::move(requests)}};
  const HttpRequest request{
      "POST", batch_path, json::serialize(body), "application/json", {}, limit_of_large_changes};
  const auto answer = dry_run ? transport_.exchange(request) : change(request);
  if (!answer) return tl::unexpected(Refusal{answer.error(), {}});
  if (answer->status == 200) return {};
  Refusal refusal{fault(*answer).value(), {}};
  boost::system::error_code error;
  const auto refused = json::parse(answer->body, error);
  const auto* number =
      !error && refused.is_object() ? refused.get_object().if_contains("request") : nullptr;
  if (number && number->is_int64()) refusal.request = static_cast<std::size_t>(number->get_int64());
  return tl::unexpected(std::move(refusal));
}

Result<json::object> Client::fetch(const std::string& path, const std::string& wrapper) {
  return request("GET", path).and_then([&](json::value body) -> Result<json::object> {
    auto* object = body.if_object() ? body.get_object().if_contains(wrapper) : nullptr;
    if (!object || !object->is_object()) return strange(path, "has no '" + wrapper + "'");
    return std::move(object->get_object());
  });
}

Result<json::object> Client::send(const std::string& method, const std::string& path,
                                  const std::string& wrapper, json::object attributes) {
  json::object body;
  body[wrapper] = std::move(attributes);
  return request(method, path, &body).and_then([&](json::value answer) -> Result<json::object> {
    auto* object = answer.if_object() ? answer.get_object().if_contains(wrapper) : nullptr;
    if (!object || !object->is_object()) return strange(path, "has no '" + wrapper + "'");
    return std::move(object->get_object());
  });
}

Result<json::array> Client::list(const std::string& path, const std::string& collection,
                                 const Query& query) {
  json::array all;
  std::set<std::string> seen;  // pages that lead in a circle must not hang us
  for (auto target = with_query(path, query); !target.empty() && seen.insert(target).second;) {
    auto page = request("GET", target);
    if (!page) return tl::unexpected(page.error());
    auto* items = page->is_object() ? page->get_object().if_contains(collection) : nullptr;
    if (!items || !items->is_array()) return strange(target, "has no '" + collection + "'");
    for (auto& item : items->get_array()) all.push_back(std::move(item));
    target = next_page(page->get_object(), collection);
  }
  return all;
}

std::vector<std::string> Client::names(const std::string& path, const std::string& collection,
                                       const std::string& key) {
  const auto all = list(path, collection);
  std::vector<std::string> out;
  if (!all) return out;
  for (const auto& item : *all) {
    auto text = item.is_object() ? string_at(item.get_object(), key) : std::string();
    if (!text.empty()) out.push_back(std::move(text));
  }
  return out;
}

Result<std::string> Client::resolve(const Resource& resource, const std::string& path,
                                    const std::string& name_or_id, const std::string& see) {
  // A name may look like an id. The id takes precedence, because anybody may change a name.
  const std::vector<std::string> keys = parse_uuid(name_or_id)
                                            ? std::vector<std::string>{"id", resource.key}
                                            : std::vector<std::string>{resource.key};
  std::vector<std::string> ids;
  for (const auto& key : keys) {
    const auto found = list(path, resource.collection, {{key, name_or_id}});
    if (!found) return tl::unexpected(found.error());
    for (const auto& item : *found)
      if (item.is_object()) ids.push_back(string_at(item.get_object(), "id"));
    if (!ids.empty()) break;
  }
  if (ids.empty())
    return fail(ErrorKind::not_found,
                fmt::format("no {} is named '{}'", resource.singular, name_or_id),
                "see 'sluicectl " + see + "'");
  if (ids.size() > 1)
    return fail(ErrorKind::conflict,
                fmt::format("{} {}s are named '{}'", ids.size(), resource.singular, name_or_id),
                fmt::format("use an id: {}", fmt::join(ids, ", ")));
  return ids.front();
}

Result<json::object> Client::wait_until_settled(const std::string& path,
                                                const std::string& wrapper) {
  auto waited = std::chrono::milliseconds(0);
  for (auto pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
    auto object = fetch(path, wrapper);
    if (!object) return object;
    const auto status = string_at(*object, "provisioning_status");
    if (status == "ERROR") return provisioning_failed(*object);
    if (!status.starts_with("PENDING")) return object;
    if (waited >= patience)
      return fail(ErrorKind::internal, fmt::format("still {} after a minute", status),
                  "sluiced's log tells why");
    sleep_(pause);
    waited += pause;
  }
}

Result<void> Client::wait_until_gone(const std::string& path, const std::string& wrapper) {
  auto waited = std::chrono::milliseconds(0);
  for (auto pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
    auto object = fetch(path, wrapper);
    if (!object && object.error().kind == ErrorKind::not_found) return {};
    if (!object) return tl::unexpected(object.error());
    const auto status = string_at(*object, "provisioning_status");
    if (status == "ERROR") return provisioning_failed(*object);
    if (waited >= patience)
      return fail(ErrorKind::internal, fmt::format("still {} after a minute", status),
                  "sluiced's log tells why");
    sleep_(pause);
    waited += pause;
  }
}

}  // namespace sluice::ctl
