// sluicectl openrc, clouds-yaml: write the files by which OpenStack's clients find this service.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

struct User {
  std::string name;
  std::string project;
};

// How clients connect, according to sluiced.
struct Entrance {
  std::string endpoint;
  bool token = false, identity = false;
  std::optional<User> user;  // with identity
};

std::string text_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool is_true(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_bool() && value->get_bool();
}

// Returns the user that was asked for, or the only one.
Result<User> choose_user(const Call& call, const json::object& entrance) {
  const auto wanted = call.invocation.value("user");
  std::vector<User> users;
  const auto* listed = entrance.if_contains("users");
  if (listed && listed->is_array()) {
    for (const auto& one : listed->get_array()) {
      if (const auto* user = one.if_object()) {
        users.push_back({text_of(*user, "name"), text_of(*user, "project_id")});
      }
    }
  }
  std::string names;
  for (const auto& user : users) {
    if (user.name == wanted || (wanted.empty() && users.size() == 1)) return user;
    names += (names.empty() ? "" : ", ") + user.name;
  }
  return fail(ErrorKind::invalid,
              wanted.empty() ? std::string("there are several users")
                             : fmt::format("there is no user '{}'", wanted),
              fmt::format("give --user with one of {}", names));
}

Result<Entrance> ask(const Call& call) {
  const auto answer = call.client.fetch("/v1/entrance", "entrance");
  if (!answer) return tl::unexpected(answer.error());
  Entrance entrance{.endpoint = text_of(*answer, "endpoint"),
                    .token = is_true(*answer, "token"),
                    .identity = is_true(*answer, "identity"),
                    .user = {}};
  if (entrance.endpoint.empty()) {
    return fail(ErrorKind::invalid, "sluiced has no TCP listener, which OpenStack's clients need",
                "start it with --listen ADDR:PORT");
  }
  if (!entrance.identity) {
    if (!call.invocation.has("user")) return entrance;
    return fail(ErrorKind::invalid, "nobody signs in by name here",
                "start sluiced with --identity");
  }
  auto user = choose_user(call, *answer);
  if (!user) return tl::unexpected(user.error());
  entrance.user = std::move(*user);
  return entrance;
}

// Quotes the text for a shell.
std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

// Quotes the text for YAML, of which JSON's strings are a part.
std::string yaml_text(std::string_view text) {
  return json::serialize(json::value(text));
}

std::string cacert_of(const Call& call) {
  return call.invocation.value("cacert");
}

// Makes shell code that asks its user for a value, so that the file has no secret.
std::string prompt(std::string_view variable, std::string_view question) {
  return fmt::format(
      "if [ -z \"${{{0}:-}}\" ]; then\n"
      "  printf '%s' {1} >&2; stty -echo 2>/dev/null; read -r {0}; stty echo 2>/dev/null; echo "
      ">&2\n"
      "fi\n"
      "export {0}\n",
      variable, shell_word(question));
}

Result<Answer> print_openrc(const Call& call) {
  const auto entrance = ask(call);
  if (!entrance) return tl::unexpected(about("openrc", entrance.error()));
  std::string text = "# For OpenStack's clients: source this file.\n";
  const auto set = [&](std::string_view name, std::string_view value) {
    text += fmt::format("export {}={}\n", name, shell_word(value));
  };
  if (entrance->user) {
    text += "unset OS_ENDPOINT OS_TOKEN\n";
    set("OS_AUTH_TYPE", "password");
    set("OS_AUTH_URL", entrance->endpoint + "/identity/v3");
    set("OS_IDENTITY_API_VERSION", "3");
    set("OS_REGION_NAME", "RegionOne");
    set("OS_USERNAME", entrance->user->name);
    set("OS_USER_DOMAIN_NAME", "Default");
    set("OS_PROJECT_ID", entrance->user->project);  // gophercloud asks for it
    set("OS_PROJECT_NAME", entrance->user->project);
    set("OS_PROJECT_DOMAIN_NAME", "Default");
  } else {
    text += "unset OS_AUTH_URL OS_USERNAME OS_PASSWORD OS_PROJECT_NAME OS_PROJECT_ID\n";
    set("OS_AUTH_TYPE", entrance->token ? "admin_token" : "none");
    set("OS_ENDPOINT", entrance->endpoint);
  }
  if (const auto cacert = cacert_of(call); !cacert.empty()) set("OS_CACERT", cacert);
  if (entrance->user) {
    text += prompt("OS_PASSWORD", fmt::format("Password of {}: ", entrance->user->name));
  } else if (entrance->token) {
    text += prompt("OS_TOKEN", "Token: ");
  }
  return text;
}

Result<Answer> print_clouds_yaml(const Call& call) {
  const auto entrance = ask(call);
  if (!entrance) return tl::unexpected(about("clouds-yaml", entrance.error()));
  const auto given = call.invocation.value("cloud");
  auto text = fmt::format(
      "# For OpenStack's clients: ~/.config/openstack/clouds.yaml, and OS_CLOUD={0}.\n"
      "# The secret may stand in a secure.yaml beside it.\n"
      "clouds:\n  {1}:\n",
      given.empty() ? "sluice" : given, yaml_text(given.empty() ? "sluice" : given));
  const auto add = [&](int depth, std::string_view name, std::string_view value) {
    text += fmt::format("{:{}}{}: {}\n", "", 2 * depth, name, yaml_text(value));
  };
  if (entrance->user) {
    add(2, "auth_type", "password");
    add(2, "region_name", "RegionOne");
    text += "    identity_api_version: 3\n    auth:\n";
    add(3, "auth_url", entrance->endpoint + "/identity/v3");
    add(3, "username", entrance->user->name);
    add(3, "user_domain_name", "Default");
    add(3, "project_name", entrance->user->project);
    add(3, "project_domain_name", "Default");
    add(3, "password", "");
  } else {
    add(2, "auth_type", entrance->token ? "admin_token" : "none");
    text += "    auth:\n";
    add(3, "endpoint", entrance->endpoint);
    if (entrance->token) add(3, "token", "");
  }
  if (const auto cacert = cacert_of(call); !cacert.empty()) add(2, "cacert", cacert);
  return text;
}

Option user_option() {
  return option(Kind::local, "user", "NAME",
                "who signs in, of sluiced's token file (may be left out if there is one only)");
}

Noun make_openrc() {
  Noun noun{.name = "openrc", .summary = "a shell's settings for OpenStack's clients"};
  noun.verbs = {
      {.summary = "print a file to source, which asks for the password",
       .options = {user_option()},
       .run = print_openrc,
       .examples = {"sluicectl openrc --user alice", "sluicectl openrc --cacert /etc/ssl/lb.pem"}}};
  return noun;
}

Noun make_clouds_yaml() {
  Noun noun{.name = "clouds-yaml", .summary = "clouds.yaml for OpenStack's clients"};
  noun.verbs = {{.summary = "print a clouds.yaml, its password to be filled in",
                 .options = {user_option(), option(Kind::local, "cloud", "NAME",
                                                   "what clients call it (default sluice)")},
                 .run = print_clouds_yaml,
                 .examples = {"sluicectl clouds-yaml --user alice"}}};
  return noun;
}

}  // namespace

const Noun& openrc_noun() {
  static const Noun noun = make_openrc();
  return noun;
}

const Noun& clouds_yaml_noun() {
  static const Noun noun = make_clouds_yaml();
  return noun;
}

}  // namespace sluice::ctl
