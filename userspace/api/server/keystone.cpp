#include "api/server/keystone.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/json/serialize.hpp>
#include <deque>
#include <optional>

#include "api/language/fault.hpp"
#include "api/server/failed_sign_ins.hpp"
#include "api/server/sign_in.hpp"
#include "base/printable.hpp"
#include "model/limits.hpp"

namespace sluice::api {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

constexpr std::string_view root = "/identity";
constexpr std::string_view versions = "/identity/v3";
constexpr std::string_view tokens = "/identity/v3/auth/tokens";
constexpr auto region = "RegionOne";

// "/identity/v3/?x" -> "/identity/v3"
std::string_view route_of(std::string_view target) {
  auto path = path_of(target);
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path;
}

Response answer_of(unsigned status, const json::value& body) {
  Response response;
  response.status = status;
  response.request_id = new_request_id();
  response.body = json::serialize(body);
  return response;
}

// Makes a fault in the identity service's words.
Response identity_fault(unsigned status, std::string_view message) {
  return answer_of(status, json::object{{"error", json::object{{"code", status},
                                                               {"message", message},
                                                               {"title", title(status)}}}});
}

// The answer is the same whatever was wrong.
Response not_let_in() {
  return identity_fault(401, "The request you have made requires authentication.");
}

std::string time_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.000000Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

json::object one_domain() {
  return {{"id", domain_id}, {"name", domain_name}};
}

json::object version_document(const std::string& endpoint) {
  json::object self{{"rel", "self"}, {"href", fmt::format("{}{}/", endpoint, versions)}};
  json::object media{{"base", "application/json"},
                     {"type", "application/vnd.openstack.identity-v3+json"}};
  return {{"id", "v3.14"},
          {"status", "stable"},
          {"updated", "2020-04-07T00:00:00Z"},
          {"links", json::array{std::move(self)}},
          {"media-types", json::array{std::move(media)}}};
}

json::object service(std::string_view type, std::string_view name, const std::string& url) {
  json::object endpoint{{"id", fmt::format("{}-public", type)},
                        {"interface", "public"},
                        {"region", region},
                        {"region_id", region},
                        {"url", url}};
  return {{"id", type},
          {"type", type},
          {"name", name},
          {"endpoints", json::array{std::move(endpoint)}}};
}

json::array catalogue(const std::string& endpoint) {
  return {service("load-balancer", "octavia", endpoint), service("network", "neutron", endpoint),
          service("identity", "keystone", endpoint + std::string(root))};
}

// A role and those that it implies: clients expect an administrator to be a "member", too.
json::array roles_of(Role role) {
  json::array roles;
  const auto add = [&](std::string_view name) {
    roles.push_back(json::object{{"id", name}, {"name", name}});
  };
  if (role == Role::admin) add("admin");
  if (role != Role::reader) add("member");
  add("reader");
  return roles;
}

json::object describe(const IssuedToken& token, const std::string& endpoint, bool with_catalogue) {
  const auto& who = token.who;
  json::object shown{
      {"methods", json::array{json::value(token.method)}},
      {"user", json::object{{"domain", one_domain()},
                            {"id", who.name},
                            {"name", who.name},
                            {"password_expires_at", nullptr}}},
      {"audit_ids", json::array{json::value(token.audit_id)}},
      {"issued_at", time_text(token.issued_at)},
      {"expires_at", time_text(token.expires_at)},
      {"is_domain", false},
      {"project",
       json::object{{"domain", one_domain()}, {"id", who.project}, {"name", who.project}}},
      {"roles", roles_of(who.role)}};
  if (with_catalogue) shown["catalog"] = catalogue(endpoint);
  return {{"token", std::move(shown)}};
}

bool wants_catalogue(std::string_view target) {
  return target.find("nocatalog") == std::string_view::npos;
}

}  // namespace

bool Keystone::serves(std::string_view target) {
  const auto path = route_of(target);
  return path == root || path.starts_with("/identity/");
}

bool Keystone::is_open(std::string_view method, std::string_view target) {
  const auto path = route_of(target);
  if (method == "POST") return path == tokens;
  return (method == "GET" || method == "HEAD") && (path == root || path == versions);
}

struct Keystone::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, KeystoneOptions settings)
      : io(context), options(std::move(settings)) {}

  // A sign-in whose password waits to be checked.
  struct Attempt {
    SignIn sign_in;
    IpAddress from;
    bool with_catalogue = true;
    Done done;
  };

  void sign_in(const Request& request, const IpAddress& from, Done done);
  void check_next();
  void checked(const Attempt& attempt, const Identity* user, bool right);
  Outcome with_token(const SignIn& sign_in, const IpAddress& from, bool with_catalogue);
  Outcome refuse(const IpAddress& from, std::string why);
  Outcome give(IssuedTokens::Given given, bool with_catalogue) const;
  std::optional<Identity> scoped(Identity user, const SignIn& sign_in) const;
  Response about_token(const Request& request);

  asio::io_context& io;
  KeystoneOptions options;
  FailedSignIns failed;
  std::deque<Attempt> waiting;
  bool checking = false;
  // The thread is made at the first attempt, when the process has dropped its privileges, and
  // joined before the rest is destroyed.
  std::optional<asio::thread_pool> worker;
};

// The user's identity in the project that it asks for.
std::optional<Identity> Keystone::State::scoped(Identity user, const SignIn& sign_in) const {
  if (!sign_in.at_home) return std::nullopt;
  if (user.project.empty()) user.project = options.default_project_id;
  if (!sign_in.project) return user;
  const bool fits = user.role == Role::member
                        ? *sign_in.project == user.project
                        : sign_in.project->size() <= model::max_project_id_length &&
                              is_printable(*sign_in.project);
  if (!fits) return std::nullopt;
  user.project = *sign_in.project;
  return user;
}

Keystone::Outcome Keystone::State::refuse(const IpAddress& from, std::string why) {
  failed.note(from, std::chrono::steady_clock::now());
  return {.response = not_let_in(), .failure = std::move(why)};
}

Keystone::Outcome Keystone::State::give(IssuedTokens::Given given, bool with_catalogue) const {
  auto response = answer_of(201, describe(given.token, options.public_endpoint, with_catalogue));
  response.headers.emplace_back("X-Subject-Token", std::move(given.secret));
  response.headers.emplace_back("Vary", "X-Auth-Token");
  return {.response = std::move(response), .user = given.token.who.name};
}

// Signs in with an issued token or one of the file.
Keystone::Outcome Keystone::State::with_token(const SignIn& sign_in, const IpAddress& from,
                                              bool with_catalogue) {
  const TokenTime now;
  std::optional<IssuedToken> first;
  if (const auto* known = options.issued->find(sign_in.secret, now)) first = *known;
  auto user = first ? std::optional(first->who) : options.users->find(sign_in.secret);
  if (user) user = scoped(std::move(*user), sign_in);
  if (!user) return refuse(from, "a token that is none, or for another project");
  return give(options.issued->issue(std::move(*user), first ? first->method : "token", now,
                                    first ? &*first : nullptr),
              with_catalogue);
}

void Keystone::State::sign_in(const Request& request, const IpAddress& from, Done done) {
  auto wanted = parse_sign_in(request.body);
  if (!wanted) {
    const unsigned status = wanted.error().kind == ErrorKind::unsupported ? 401 : 400;
    return done({.response = identity_fault(status, wanted.error().message)});
  }
  const bool with_catalogue = wants_catalogue(request.target);
  waiting.push_back({std::move(*wanted), from, with_catalogue, std::move(done)});
  if (!checking) check_next();
}

// Attempts are checked one after the other, so that no address has more than five guesses however
// many it sends at once.
void Keystone::State::check_next() {
  while (!waiting.empty()) {
    auto attempt = std::move(waiting.front());
    waiting.pop_front();
    if (!failed.may_try(attempt.from, std::chrono::steady_clock::now())) {
      auto response = identity_fault(429, "Too many failed attempts: try again in a minute.");
      response.headers.emplace_back("Retry-After", "60");
      attempt.done({.response = std::move(response), .failure = "too many failed attempts"});
      continue;
    }
    if (attempt.sign_in.method == "token") {
      attempt.done(with_token(attempt.sign_in, attempt.from, attempt.with_catalogue));
      continue;
    }
    if (!worker) worker.emplace(1);
    checking = true;
    const auto* user = options.users->find_user(attempt.sign_in.user);
    const auto* secret = user && user->secret ? &*user->secret : &Secret::nobodys();
    asio::post(*worker, [weak = weak_from_this(), &io = io, users = options.users, user, secret,
                         attempt = std::move(attempt)]() mutable {
      const bool right = secret->fits(attempt.sign_in.secret);
      // A token is quick to check, so a password is checked as well: the time must not tell that
      // there is such a user.
      if (!right && secret->is_token()) Secret::nobodys().fits(attempt.sign_in.secret);
      asio::post(io, [weak, users, user, right, attempt = std::move(attempt)] {
        if (const auto self = weak.lock()) {
          self->checked(attempt, user ? &user->identity : nullptr, right);
        }
      });
    });
    return;
  }
}

void Keystone::State::checked(const Attempt& attempt, const Identity* user, bool right) {
  checking = false;
  auto who = user && right ? scoped(*user, attempt.sign_in) : std::nullopt;
  if (who) {
    attempt.done(give(options.issued->issue(std::move(*who), attempt.sign_in.method, {}),
                      attempt.with_catalogue));
  } else {
    attempt.done(refuse(attempt.from, !user ? std::string("an unknown user")
                                      : !right
                                          ? fmt::format("a wrong secret for {}", user->name)
                                          : fmt::format("{} for a project of others", user->name)));
  }
  check_next();
}

// Reads or ends a token, for its owner and for administrators.
Response Keystone::State::about_token(const Request& request) {
  const auto* subject = options.issued->find(request.subject_token);
  const auto& who = request.who;
  const bool own = subject && subject->who.name == who.name && subject->who.role == who.role;
  if (!own && who.role != Role::admin) {
    return identity_fault(403, "You are not authorized to perform the requested action.");
  }
  if (!subject) return identity_fault(404, "Could not find the token.");
  if (request.method == "DELETE") {
    options.issued->revoke(request.subject_token);
    Response response;
    response.status = 204;
    response.request_id = new_request_id();
    return response;
  }
  auto response =
      answer_of(200, describe(*subject, options.public_endpoint, wants_catalogue(request.target)));
  response.headers.emplace_back("X-Subject-Token", request.subject_token);
  response.headers.emplace_back("Vary", "X-Auth-Token");
  return response;
}

Keystone::Keystone(asio::io_context& context, KeystoneOptions options)
    : state_(std::make_shared<State>(context, std::move(options))) {}

void Keystone::answer(const Request& request, const IpAddress& from, Done done) {
  const auto path = route_of(request.target);
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const auto& endpoint = state_->options.public_endpoint;
  if (path == root && reads) {
    json::object listed{{"values", json::array{version_document(endpoint)}}};
    return done({answer_of(300, json::object{{"versions", std::move(listed)}})});
  }
  if (path == versions && reads) {
    return done({answer_of(200, json::object{{"version", version_document(endpoint)}})});
  }
  if (path == tokens) {
    if (request.method == "POST") return state_->sign_in(request, from, std::move(done));
    if (reads || request.method == "DELETE") return done({state_->about_token(request)});
    auto response = identity_fault(405, "The method is not allowed for the requested URL.");
    response.allow = "GET, HEAD, POST, DELETE";
    return done({std::move(response)});
  }
  done({identity_fault(404, "Of the identity service only /v3 and /v3/auth/tokens are here.")});
}

}  // namespace sluice::api
