// sluicectl backup, restore: the whole state as a file that keeps ids, and back.
//
// The client writes the file, with its user's rights and for that user only; the server never sees
// a path. The file has no tokens and no keys: these are files of their own.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/printable.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/private_file.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

constexpr const char* file_type = "application/vnd.sqlite3";

Result<std::string> read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(stream), {});
  if (!stream.is_open() || stream.bad()) return fail_errno(errno, "read " + path);
  if (bytes.empty()) return fail(ErrorKind::invalid, path + " is empty", "sluicectl backup FILE");
  return bytes;
}

Result<Answer> back_up(const Call& call) {
  const auto path = call.invocation.positionals.at("FILE");
  const auto bytes = call.client.download("/v1/backup");
  if (!bytes) return tl::unexpected(about("backup", bytes.error()));
  if (auto written = write_private_file(path, *bytes); !written)
    return tl::unexpected(written.error());
  return Answer{fmt::format("{}: {} bytes\n", path, bytes->size())};
}

std::string text_at(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool is_empty(const json::object& change, std::string_view key) {
  const auto* value = change.if_contains(key);
  return !value || !value->is_object() || value->get_object().empty();
}

// "~ updated Member web1 (5a10...): weight 1 -> 2", one line a change, as apply marks them.
std::string lines_of(const json::array& changes) {
  std::string text;
  for (const auto& item : changes) {
    const auto* change = item.if_object();
    if (!change) continue;
    const bool created = is_empty(*change, "before") && !is_empty(*change, "after");
    const bool deleted = !is_empty(*change, "before") && is_empty(*change, "after");
    text += fmt::format("{} {}\n",
                        created   ? '+'
                        : deleted ? '-'
                                  : '~',
                        printable(text_at(*change, "message")));
  }
  return text;
}

struct Difference {
  json::array changes;
  std::string name;
};

Result<Difference> ask(Client& client, const std::string& query, const std::string& bytes) {
  const auto answer = client.upload("/v1/restore?" + query, bytes, file_type);
  if (!answer) return tl::unexpected(answer.error());
  const auto* body = answer->if_object();
  const auto* changes = body ? body->if_contains("changes") : nullptr;
  if (!changes || !changes->is_array())
    return fail(ErrorKind::internal, "the answer tells no changes",
                "is it sluiced that answers there, of the same version?");
  return Difference{changes->get_array(), text_at(*body, "difference")};
}

Result<void> ask_user(const Call& call, const std::string& difference) {
  if (call.invocation.has("yes")) return {};
  call.display.show(difference);
  const auto answer = call.display.ask("Make it so? [y/N] ");
  if (!answer) {
    return fail(ErrorKind::invalid, "there is no terminal on which to confirm it",
                "--yes says so, --dry-run only shows the difference");
  }
  if (*answer == "y" || *answer == "yes") return {};
  return fail(ErrorKind::conflict, "nothing was changed");
}

Result<Answer> restore(const Call& call) {
  const auto path = call.invocation.positionals.at("FILE");
  const auto bytes = read_file(path);
  if (!bytes) return tl::unexpected(bytes.error());
  const auto shown = ask(call.client, "dry_run=true", *bytes);
  if (!shown) return tl::unexpected(about("restore " + path, shown.error()));
  if (shown->changes.empty()) return Answer{std::string("nothing to change\n")};
  const auto text = lines_of(shown->changes);
  if (call.invocation.has("dry-run")) return Answer{text};
  if (auto agreed = ask_user(call, text); !agreed) return tl::unexpected(agreed.error());
  const auto done = ask(call.client, "difference=" + escaped(shown->name), *bytes);
  if (!done) return tl::unexpected(about("restore " + path, done.error()));
  if (call.invocation.has("yes")) return Answer{text};
  return Answer{std::string("restored\n")};
}

}  // namespace

const Noun& backup_noun() {
  static const Noun noun = {
      .name = "backup",
      .summary = "everything, as a file that keeps ids",
      .verbs = {{.summary = "writes the whole state into a file (mode 0600, SQLite), without "
                            "tokens and keys",
                 .positionals = {{"FILE"}},
                 .output = Output::tree,
                 .run = back_up,
                 .examples = {"sluicectl backup sluice-2026-11-29.db"}}}};
  return noun;
}

const Noun& restore_noun() {
  static const Noun noun = {
      .name = "restore",
      .summary = "everything as it was when a backup was made",
      .verbs = {{.summary = "shows what a backup would change, asks, and makes it so; health is "
                            "not restored, members are probed",
                 .positionals = {{"FILE"}},
                 .options = {flag(Kind::local, "dry-run",
                                  "only say what would be made (+), changed (~) and removed (-)"),
                             flag(Kind::local, "yes", "don't ask")},
                 .groups = {{false, true, {"dry-run", "yes"}}},
                 .output = Output::tree,
                 .run = restore,
                 .examples = {"sluicectl restore sluice-2026-11-29.db --dry-run",
                              "sluicectl restore sluice-2026-11-29.db"}}}};
  return noun;
}

}  // namespace sluice::ctl
