// Batch: several changes as one, in Sluice's own part of the API:
//
//   POST /v1/batch {"dry_run": false, "requests": [{"method": "POST", "path": "/v2/lbaas/pools",
//   "body": {...}}, ...]}
//
// The requests and their answers are the same as if they were sent one by one; all of them happen
// or none. "$2", as a segment of a path or as a string in a body, stands for the id of the object
// that request 2 (counted from 0) has made, "$2.vip_port_id" for another of its attributes. The
// first request that is refused ends the batch: its fault is the batch's, with its number in
// "request".
#include <fmt/format.h>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "api/handlers/address_claims.hpp"
#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/routes.hpp"
#include "api/language/fault.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

// What a request has made. Hardly anybody asks for more than the id, so the rest stays the text of
// its answer: thousands of small values would take long to remove at the end.
struct Object {
  std::string id;      // empty: nothing was made
  std::string answer;  // {"pool": {...}}
};
using Made = std::vector<Object>;  // by request

// Takes the object out of an answer like {"pool": {...}}; null: there is none.
const json::object* unwrapped(const json::value& body) {
  const auto* wrapper = body.if_object();
  return wrapper && !wrapper->empty() ? wrapper->begin()->value().if_object() : nullptr;
}

// Replaces "$2" or "$2.vip_port_id" by its value; other text stays as it is.
std::string resolved(std::string_view text, const Made& made) {
  if (!text.starts_with('$')) return std::string(text);
  const auto point = std::min(text.find('.'), text.size());
  const auto attribute = point < text.size() ? text.substr(point + 1) : "id";
  std::size_t number = 0;
  const auto* end = text.data() + point;
  const auto [rest, error] = std::from_chars(text.data() + 1, end, number);
  if (error != std::errc() || rest != end || number >= made.size()) return std::string(text);
  const auto& object = made[number];
  if (object.id.empty()) return std::string(text);
  if (attribute == "id") return object.id;
  const auto answer = json::parse(object.answer);
  const auto* value = unwrapped(answer)->if_contains(attribute);
  return value && value->is_string() ? std::string(value->get_string()) : std::string(text);
}

std::string resolved_path(std::string_view path, const Made& made) {
  std::string out;
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    out += resolved(path.substr(at, end - at), made);
    if (end < path.size()) out += '/';
    at = end + 1;
  }
  return out;
}

void resolve_all(json::value& value, const Made& made) {
  if (auto* text = value.if_string()) {
    value = resolved(*text, made);
  } else if (auto* array = value.if_array()) {
    for (auto& item : *array) resolve_all(item, made);
  } else if (auto* object = value.if_object()) {
    for (auto& [key, item] : *object) resolve_all(item, made);
  }
}

struct Part {
  std::string method, path;
  const json::object* body = nullptr;  // may be null
};

Result<Part> read_part(const json::value& value, std::size_t number) {
  const auto malformed = [&] {
    return fail(ErrorKind::invalid,
                fmt::format("Request {} of the batch is not {{\"method\": \"POST\", \"PUT\" or "
                            "\"DELETE\", \"path\": \"/v2/...\", \"body\": {{...}}}}.",
                            number));
  };
  const auto* object = value.if_object();
  if (!object) return malformed();
  Part part;
  for (const auto& [key, item] : *object) {
    if (key == "method" && item.is_string()) {
      part.method = std::string(item.get_string());
    } else if (key == "path" && item.is_string()) {
      part.path = std::string(item.get_string());
    } else if (key == "body" && item.is_object()) {
      part.body = &item.get_object();
    } else {
      return malformed();
    }
  }
  const bool changes = part.method == "POST" || part.method == "PUT" || part.method == "DELETE";
  if (!changes || !part.path.starts_with("/v2")) return malformed();
  return part;
}

// A batch while it is read, a part at a time, and carried out, a request of it at a time.
class Batch {
 public:
  explicit Batch(const Call& call) : context_(call.context), request_(call.request) {
    // The addresses that the requests take are asked for together, at the end.
    if (context_.claims) context_.claims->postpone(true);
  }

  // Reads the next part, or carries out the next request. Returns the answer if that was the last
  // one or was refused.
  std::optional<Result<Reply>> step() {
    if (!is_read_) {
      auto read = read_some();
      return read ? std::nullopt : std::optional(ended(tl::unexpected(std::move(read.error()))));
    }
    const auto& requests = body_->get_object().at("requests").get_array();
    if (number_ < requests.size()) {
      const auto part = read_part(requests[number_], number_);
      if (!part) return ended(tl::unexpected(part.error()));
      if (auto refusal = carry_out(*part)) return ended(std::move(*refusal));
      if (++number_ < requests.size()) return std::nullopt;
    }
    return conclude();
  }

 private:
  Result<void> read_some() {
    constexpr std::size_t read_at_once = 128 * 1024;
    const auto part = std::string_view(request_.body).substr(parsed_, read_at_once);
    boost::system::error_code error;
    // All of its memory is given back together: one by one, thousands of values take long.
    if (parsed_ == 0) parser_.reset(json::make_shared_resource<json::monotonic_resource>());
    parser_.write(part.data(), part.size(), error);
    parsed_ += part.size();
    is_read_ = parsed_ == request_.body.size();
    if (!error && is_read_) parser_.finish(error);
    if (error) return fail(ErrorKind::invalid, "Request is not in valid JSON format");
    return is_read_ ? take_body() : Result<void>();
  }

  Result<void> take_body() {
    body_.emplace(parser_.release());
    const auto* object = body_->if_object();
    const auto* requests = object ? object->if_contains("requests") : nullptr;
    if (!requests || !requests->is_array())
      return fail(ErrorKind::invalid, "A batch is {\"requests\": [...], \"dry_run\": false}.");
    const auto* dry_run = object->if_contains("dry_run");
    rehearse_ = dry_run && dry_run->is_bool() && dry_run->get_bool();
    return {};
  }

  Result<Reply> ended(Result<Reply> reply) {
    if (context_.claims) context_.claims->postpone(false);
    return reply;
  }

  // Judges the whole of a rehearsal, some at a time, and answers.
  std::optional<Result<Reply>> conclude() {
    if (auto* claims = context_.claims; claims && !std::exchange(is_claimed_, true)) {
      claims->postpone(false);
      if (auto done = claims->conclude(); !done) return ended(tl::unexpected(done.error()));
    }
    if (rehearse_) {
      const auto progress = context_.controller.rehearse();
      if (!progress) return ended(tl::unexpected(progress.error()));
      if (*progress == control::Controller::Progress::more) return std::nullopt;
    }
    return ended(
        Reply{200, json::object{{"dry_run", rehearse_}, {"answers", std::move(answers_)}}});
  }

  // Returns the refused request's own answer if it was refused.
  std::optional<Reply> carry_out(const Part& part) {
    Request request;
    request.who = request_.who;
    request.method = part.method;
    request.target = resolved_path(part.path, made_);
    if (part.body) {
      json::value body = *part.body;
      resolve_all(body, made_);
      request.body = json::serialize(body);
    }
    auto response = handle(context_, request);
    auto body = response.body.empty() ? json::value() : json::parse(response.body);
    if (response.status >= 300) {
      if (body.is_object()) body.get_object()["request"] = number_;
      return Reply{response.status, std::move(body)};
    }
    made_.emplace_back();
    json::object answer{{"status", response.status}};
    const auto* object = unwrapped(body);
    if (const auto* id = object ? object->if_contains("id") : nullptr) {
      answer["id"] = *id;
      if (id->is_string()) made_.back() = {std::string(id->get_string()), std::move(response.body)};
    }
    answers_.push_back(std::move(answer));
    return std::nullopt;
  }

  const Context& context_;
  const Request& request_;
  json::stream_parser parser_;
  std::size_t parsed_ = 0;  // bytes
  bool is_read_ = false;
  std::optional<json::value> body_;
  bool rehearse_ = false;
  std::size_t number_ = 0;
  bool is_claimed_ = false;  // its addresses
  Made made_;
  json::array answers_;
};

// Does the rest of the batch, a part per call.
Result<Reply> go_on(const std::shared_ptr<Batch>& batch) {
  if (auto reply = batch->step()) return std::move(*reply);
  Reply more;
  more.resume = [batch] { return go_on(batch); };
  return more;
}

}  // namespace

Result<Reply> run_batch(const Call& call) {
  return go_on(std::make_shared<Batch>(call));
}

}  // namespace sluice::api
