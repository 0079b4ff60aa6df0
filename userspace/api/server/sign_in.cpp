#include "api/server/sign_in.hpp"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "base/printable.hpp"

namespace sluice::api {
namespace {

namespace json = boost::json;

const json::object* object_in(const json::object& outer, std::string_view name) {
  const auto* value = outer.if_contains(name);
  return value ? value->if_object() : nullptr;
}

std::string text_in(const json::object& outer, std::string_view name) {
  const auto* value = outer.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

tl::unexpected<Error> missing(std::string_view what) {
  return fail(ErrorKind::invalid, fmt::format("Invalid input: {} is missing.", what));
}

bool is_ours(const json::object& whose) {
  const auto* domain = object_in(whose, "domain");
  if (!domain) return true;
  const auto id = text_in(*domain, "id"), name = text_in(*domain, "name");
  return (id.empty() || id == domain_id) &&
         (name.empty() || name == domain_name || name == domain_id);
}

std::string name_or_id(const json::object& of) {
  auto id = text_in(of, "id");
  return id.empty() ? text_in(of, "name") : id;
}

Result<void> read_password(const json::object& identity, SignIn& sign_in) {
  const auto* password = object_in(identity, "password");
  const auto* user = password ? object_in(*password, "user") : nullptr;
  if (!user) return missing("auth.identity.password.user");
  sign_in.user = name_or_id(*user);
  sign_in.secret = text_in(*user, "password");
  sign_in.at_home = is_ours(*user);
  if (sign_in.user.empty()) return missing("the user's name");
  if (sign_in.secret.empty()) return missing("the password");
  return {};
}

// A user's name is also the id and the name of its credential.
Result<void> read_credential(const json::object& identity, SignIn& sign_in) {
  const auto* credential = object_in(identity, "application_credential");
  if (!credential) return missing("auth.identity.application_credential");
  sign_in.user = name_or_id(*credential);
  sign_in.secret = text_in(*credential, "secret");
  if (const auto* user = object_in(*credential, "user")) {
    sign_in.at_home = is_ours(*user) && name_or_id(*user) == sign_in.user;
  }
  if (sign_in.user.empty()) return missing("the application credential's id");
  if (sign_in.secret.empty()) return missing("the application credential's secret");
  return {};
}

Result<void> read_token(const json::object& identity, SignIn& sign_in) {
  const auto* token = object_in(identity, "token");
  if (token) sign_in.secret = text_in(*token, "id");
  if (sign_in.secret.empty()) return missing("auth.identity.token.id");
  return {};
}

Result<void> read_scope(const json::object& auth, SignIn& sign_in) {
  const auto* scope = object_in(auth, "scope");
  if (!scope || scope->contains("unscoped")) return {};
  const auto* project = object_in(*scope, "project");
  if (!project) {
    return fail(ErrorKind::invalid,
                "Invalid input: tokens are for a project here, so scope.project is all that a "
                "scope may have.");
  }
  sign_in.project = name_or_id(*project);
  sign_in.at_home = sign_in.at_home && is_ours(*project);
  if (sign_in.project->empty()) return missing("the project's name");
  return {};
}

}  // namespace

Result<SignIn> parse_sign_in(std::string_view body) {
  boost::system::error_code error;
  const auto value = json::parse({body.data(), body.size()}, error);
  const auto* whole = error ? nullptr : value.if_object();
  const auto* auth = whole ? object_in(*whole, "auth") : nullptr;
  const auto* identity = auth ? object_in(*auth, "identity") : nullptr;
  const auto* listed = identity ? identity->if_contains("methods") : nullptr;
  const auto* methods = listed ? listed->if_array() : nullptr;
  if (!methods) return missing("auth.identity.methods");
  if (methods->size() != 1 || !methods->front().is_string()) {
    return fail(ErrorKind::invalid, "Invalid input: auth.identity.methods is not one method.");
  }
  SignIn sign_in{.method = std::string(methods->front().get_string())};
  auto read = sign_in.method == "password"                 ? read_password(*identity, sign_in)
              : sign_in.method == "application_credential" ? read_credential(*identity, sign_in)
              : sign_in.method == "token"
                  ? read_token(*identity, sign_in)
                  : fail(ErrorKind::unsupported, fmt::format("Attempted to authenticate with an "
                                                             "unsupported method ('{}').",
                                                             printable(sign_in.method)));
  if (read) read = read_scope(*auth, sign_in);
  if (!read) return tl::unexpected(read.error());
  return sign_in;
}

}  // namespace sluice::api
