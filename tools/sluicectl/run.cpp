#include "sluicectl/run.hpp"

#include <algorithm>

#include "base/printable.hpp"
#include "base/version.hpp"
#include "sluicectl/grammar/complete.hpp"
#include "sluicectl/grammar/grammar.hpp"
#include "sluicectl/grammar/help.hpp"
#include "sluicectl/grammar/manual.hpp"

namespace sluice::ctl {
namespace {

std::string setting(const Invocation& invocation, const Surroundings& surroundings,
                    const std::string& option, const std::string& variable) {
  return invocation.has(option) ? invocation.value(option) : surroundings.environment(variable);
}

// An option overrides the environment, in which an endpoint overrides a socket.
Result<Endpoint> endpoint(const Invocation& invocation, const Surroundings& surroundings) {
  if (invocation.has("socket") && invocation.has("endpoint"))
    return fail(ErrorKind::invalid, "--socket and --endpoint exclude each other");
  if (!invocation.has("socket"))
    if (const auto url = setting(invocation, surroundings, "endpoint", "SLUICE_ENDPOINT");
        !url.empty())
      return parse_endpoint(url).map([&](Endpoint remote) {
        remote.cacert = setting(invocation, surroundings, "cacert", "SLUICE_CACERT");
        return remote;
      });
  Endpoint local;
  if (const auto path = setting(invocation, surroundings, "socket", "SLUICE_SOCKET"); !path.empty())
    local.socket = path;
  return local;
}

Result<std::string> token(const Invocation& invocation, const Surroundings& surroundings) {
  auto text = setting(invocation, surroundings, "token", "SLUICE_TOKEN");
  const bool printable =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!printable)
    return fail(ErrorKind::invalid, "the token holds characters that no header can carry");
  return text;
}

std::string text_of(Answer answer, const Invocation& invocation) {
  const auto form = parse_format(invocation.value("format")).value_or(Format::table);
  const auto& columns = invocation.values("column");
  if (auto* record = std::get_if<Record>(&answer)) {
    select(*record, columns);
    return format(*record, form);
  }
  if (auto* listing = std::get_if<Listing>(&answer)) {
    sort(*listing, invocation.values("sort-column"), invocation.has("sort-descending"));
    select(*listing, columns);
    return format(*listing, form);
  }
  const auto* text = std::get_if<std::string>(&answer);
  return text ? *text : std::string();
}

// Escapes characters that would move the cursor; files and pipes get the text as it is.
std::string for_terminal(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    out += printable(text.substr(0, end));
    if (end < text.size()) out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Outcome call(const Invocation& invocation, const Surroundings& surroundings) {
  const auto where = endpoint(invocation, surroundings);
  if (!where) return {ExitCode::usage, "", where.error().text()};
  const auto secret = token(invocation, surroundings);
  if (!secret) return {ExitCode::usage, "", secret.error().text()};
  const auto transport = surroundings.connect(*where, *secret);
  Client client(*transport, surroundings.sleep);
  auto verb = *invocation.verb;
  verb.columns = columns_of(*invocation.noun, verb);
  const Display display{surroundings.show, surroundings.sleep, surroundings.is_terminal,
                        surroundings.is_interrupted, surroundings.ask};
  auto answer = verb.run({client, *invocation.noun, verb, invocation, display});
  if (!answer) return {ExitCode::failed, "", answer.error().text()};
  const auto* listing = std::get_if<Listing>(&*answer);
  auto note = listing ? listing->note : std::string();
  auto text = text_of(std::move(*answer), invocation);
  if (surroundings.is_terminal) text = for_terminal(text);
  return {ExitCode::done, std::move(text), std::move(note)};
}

// Makes one line of a text, which may be the server's.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return printable(text);
}

// The names that may be typed next; none if the server can't be asked, because completion must not
// fail.
std::vector<std::string> names_of(const Typed& typed, const Surroundings& surroundings,
                                  const Resource& resource, const std::string& parent) {
  const auto where = endpoint(typed.invocation, surroundings);
  const auto secret = token(typed.invocation, surroundings);
  if (!where || !secret) return {};
  const auto transport = surroundings.connect(*where, *secret);
  Client client(*transport, surroundings.sleep);
  auto path = resource.path;
  if (&resource == &member_resource()) {
    const auto pool = client.resolve(pool_resource(), pool_resource().path, parent, {});
    if (!pool) return {};
    path = with_parent(path, *pool);
  }
  return client.names(path, resource.collection, resource.key);
}

// "sluicectl __complete WORD...": prints the words that may replace the last one, one per line.
Outcome complete(const std::vector<std::string>& words, const Surroundings& surroundings) {
  const auto typed = read_typed(words);
  const auto names = [&](const Resource& resource, const std::string& parent) {
    return names_of(typed, surroundings, resource, parent);
  };
  Outcome outcome;
  for (const auto& word : candidates(typed, names)) outcome.output += word + "\n";
  return outcome;
}

}  // namespace

Outcome run(const std::vector<std::string>& arguments, const Surroundings& surroundings) {
  // Shells' completion and the build use these; no command begins with an underscore.
  if (!arguments.empty() && arguments.front() == "__complete")
    return complete({arguments.begin() + 1, arguments.end()}, surroundings);
  if (!arguments.empty() && arguments.front() == "__manual") return {ExitCode::done, manual(), ""};
  const auto invocation = parse(arguments);
  if (!invocation) return {ExitCode::usage, "", one_line(invocation.error().message)};
  switch (invocation->request) {
    case Invocation::Request::help:
      return {ExitCode::done, help(invocation->noun, invocation->verb), ""};
    case Invocation::Request::version:
      return {ExitCode::done, version_of("sluicectl"), ""};
    case Invocation::Request::run:
      break;
  }
  auto outcome = call(*invocation, surroundings);
  outcome.error = one_line(std::move(outcome.error));
  return outcome;
}

}  // namespace sluice::ctl
