// sluicectl apply, export: the whole desired state as one YAML document.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <cctype>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/manifest/file.hpp"
#include "sluicectl/manifest/plan.hpp"
#include "sluicectl/manifest/state.hpp"
#include "sluicectl/nouns/input.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

bool has_word(const std::string& text, const std::string& word) {
  const auto part_of_word = [&](std::size_t at) {
    return at < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_');
  };
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1))
    if ((at == 0 || !part_of_word(at - 1)) && !part_of_word(at + word.size())) return true;
  return false;
}

// The field that the server's fault is about, by its name or its value.
std::string field_in(const Item& item, const std::string& fault) {
  for (const auto& field : item.shape->fields) {
    const auto attribute = field.name == "default_pool" ? "default_pool_id" : field.name;
    if (has_word(fault, attribute)) return field.name;
  }
  for (const auto& [name, value] : item.fields)
    if (value.typed.size() > 1 && has_word(fault, value.typed)) return name;
  return item.shape->scalar;
}

Error refused(const std::string& file, const std::vector<Step>& steps, Client::Refusal refusal,
              const std::string& how_far) {
  if (!refusal.request || *refusal.request >= steps.size())
    return about("apply " + file, std::move(refusal.error));
  const auto& step = steps[*refusal.request];
  const auto fault = refusal.error.text();
  const auto where = step.cause ? place(file, *step.cause, field_in(*step.cause, fault))
                                : fmt::format("{}: {}: ", file, step.text);
  return {refusal.error.kind, where + fault, how_far, 0};
}

// Checks that the changes have reached the data plane.
Result<void> check_provisioning(Client& client) {
  const auto& resource = load_balancer_resource();
  const auto failed =
      client.list(resource.path, resource.collection, {{"provisioning_status", "ERROR"}});
  if (!failed) return tl::unexpected(failed.error());
  if (failed->empty()) return {};
  const auto& object = failed->front().as_object();
  const auto text = [&](const char* key) {
    const auto* value = object.if_contains(key);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  return fail(
      ErrorKind::internal,
      fmt::format("applied, but load balancer {} is in ERROR: {}",
                  text("name").empty() ? text("id") : text("name"), text("provisioning_error")),
      "sluiced's log tells more");
}

Result<Answer> applied(Client& client, std::string report) {
  if (auto reached = check_provisioning(client); !reached) return tl::unexpected(reached.error());
  return Answer{std::move(report)};
}

json::array requests_of(const std::vector<Step>& steps) {
  json::array requests;
  for (const auto& step : steps) requests.push_back(step.request);
  return requests;
}

std::string report_of(const std::vector<Step>& steps) {
  std::string report;
  for (const auto& step : steps) report += step.text + "\n";
  return report;
}

// Says whether the state is shared by several nodes. An older server, or one that doesn't tell this
// user, takes everything at once.
bool is_shared(Client& client) {
  const auto cluster = client.fetch("/v1/cluster", "cluster");
  if (!cluster) return false;
  const auto* state = cluster->if_contains("state");
  return state && *state != "ALONE";
}

// "changed before: load balancer a; not changed: load balancers b, c"
std::string how_far(const std::vector<Part>& parts, std::size_t refused) {
  std::vector<std::string> before, not_changed;
  for (std::size_t at = 0; at < parts.size(); at++)
    (at < refused ? before : not_changed).push_back(parts[at].title);
  if (before.empty()) return "nothing was changed";
  return fmt::format("changed before: {}; not changed: {}", fmt::join(before, ", "),
                     fmt::join(not_changed, ", "));
}

// In a fleet each load balancer is a transaction of its own, because etcd's have a limit, and the
// first one that is refused ends it.
Result<Answer> apply_in_parts(Client& client, const std::string& file,
                              const std::vector<Part>& parts) {
  std::string report;
  for (std::size_t at = 0; at < parts.size(); at++) {
    const auto& steps = parts[at].steps;
    if (const auto done = client.batch(requests_of(steps), false); !done)
      return tl::unexpected(refused(file, steps, done.error(), how_far(parts, at)));
    report += report_of(steps);
  }
  return applied(client, std::move(report));
}

Result<Answer> apply(const Call& call) {
  const auto file = call.invocation.value("file");
  const auto text = read_input(file);
  if (!text) return tl::unexpected(text.error());
  const auto wanted = read_manifest(file, *text);
  if (!wanted) return tl::unexpected(wanted.error());
  const auto there = fetch_state(call.client);
  if (!there) return tl::unexpected(about("apply " + file, there.error()));
  const auto steps = plan(file, *wanted, *there);
  if (!steps) return tl::unexpected(steps.error());
  if (steps->empty()) return Answer{std::string("nothing to change\n")};

  const bool dry_run = call.invocation.has("dry-run");
  const auto parts = parts_of(*steps);
  if (!dry_run && parts.size() > 1 && is_shared(call.client))
    return apply_in_parts(call.client, file, parts);
  const auto done = call.client.batch(requests_of(*steps), dry_run);
  if (!done) return tl::unexpected(refused(file, *steps, done.error(), "nothing was changed"));
  if (dry_run) return Answer{report_of(*steps)};
  return applied(call.client, report_of(*steps));
}

Result<Answer> export_state(const Call& call) {
  auto state = fetch_state(call.client);
  if (!state) return tl::unexpected(about("export", state.error()));
  return Answer{write_manifest(without_ids(std::move(*state)))};
}

}  // namespace

const Noun& apply_noun() {
  static const Noun noun = {
      .name = "apply",
      .summary = "make everything as a file says",
      .verbs = {
          {.summary = "one change that makes the whole desired state what the file says: what "
                      "it does not name is removed",
           .options = {mandatory(option(Kind::local, "file", "FILE",
                                        "YAML as export prints it; - is standard input")),
                       flag(Kind::local, "dry-run",
                            "only say what would be made (+), changed (~) and removed (-)")},
           .output = Output::tree,
           .run = apply,
           .examples = {"sluicectl apply -f lb.yaml --dry-run", "sluicectl apply -f lb.yaml"}}}};
  return noun;
}

const Noun& export_noun() {
  static const Noun noun = {.name = "export",
                            .summary = "everything, as a file for apply",
                            .verbs = {{.summary = "the whole desired state as YAML",
                                       .output = Output::tree,
                                       .run = export_state,
                                       .examples = {"sluicectl export"}}}};
  return noun;
}

}  // namespace sluice::ctl
