#include "api/server/tokens.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/printable.hpp"
#include "model/limits.hpp"

namespace sluice::api {
namespace {

constexpr std::size_t shortest_token = 16;
constexpr std::size_t longest_token = 4096;
constexpr std::size_t longest_file = 1024 * 1024;
constexpr std::size_t longest_name = 64;

using Words = std::vector<std::string>;

Words split(std::string_view line) {
  Words words;
  std::istringstream text{std::string(line.substr(0, line.find('#')))};
  for (std::string word; text >> word;) words.push_back(word);
  return words;
}

bool is_token(std::string_view word) {
  const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
  return word.size() >= shortest_token && word.size() <= longest_token &&
         std::ranges::all_of(word, visible);
}

std::optional<Role> parse_role(std::string_view word) {
  if (word == "admin") return Role::admin;
  if (word == "member") return Role::member;
  if (word == "reader") return Role::reader;
  return std::nullopt;
}

Result<std::string> read_text(const std::filesystem::path& file) {
  const auto failed = [&] {
    return fail_errno(errno, "read the token file " + file.string(), "see --token-file");
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed();
  struct stat status {};
  std::string text(longest_file + 1, '\0');
  std::size_t have = 0;
  ssize_t got = ::fstat(fd, &status) == 0 ? 1 : -1;
  while (got > 0 && have < text.size()) {
    got = ::read(fd, text.data() + have, text.size() - have);
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  const int error = errno;
  ::close(fd);
  errno = error;
  if (got < 0) return failed();
  if (status.st_mode & S_IROTH) {
    return fail(ErrorKind::invalid,
                fmt::format("every user may read the token file {}", file.string()),
                fmt::format("chmod 600 {}", file.string()));
  }
  if (have > longest_file) {
    return fail(ErrorKind::invalid, fmt::format("the token file {} is larger than {} bytes",
                                                file.string(), longest_file));
  }
  text.resize(have);
  return text;
}

}  // namespace

// Parses a line "NAME ROLE [PROJECT] SECRET".
Result<Tokens::Entry> Tokens::parse_line(std::string_view line) {
  const auto words = split(line);
  const auto wrong = [](std::string what) { return fail(ErrorKind::invalid, std::move(what)); };
  if (words.size() < 3 || words.size() > 4) {
    return wrong("a line is NAME ROLE [PROJECT] SECRET");
  }
  Entry entry;
  entry.identity.name = words[0];
  if (words[0].size() > longest_name || !is_printable(words[0])) {
    return wrong(
        fmt::format("the name '{}' is longer than {} characters, or has others than printable ones",
                    printable(words[0]), longest_name));
  }
  const auto role = parse_role(words[1]);
  if (!role) {
    return wrong(fmt::format("'{}' is none of admin, member, reader", printable(words[1])));
  }
  entry.identity.role = *role;
  if ((*role == Role::member) != (words.size() == 4)) {
    return wrong(*role == Role::member ? "a member needs its project: NAME member PROJECT SECRET"
                                       : "only a member has a project");
  }
  if (words.size() == 4) entry.identity.project = words[2];
  if (entry.identity.project.size() > model::max_project_id_length) {
    return wrong(fmt::format("the project '{}' has more than {} characters", printable(words[2]),
                             model::max_project_id_length));
  }
  const std::string_view secret = words.back();
  if (secret == "certificate") return entry;
  entry.secret = Secret::parse(secret);
  // The text in place of a hash may be a secret, so the error does not repeat it.
  if (!entry.secret) {
    return wrong(
        "the secret is neither sha256: and 64 hex digits, nor what 'sluiced --hash-password' "
        "prints, nor certificate");
  }
  return entry;
}

Result<Tokens> Tokens::read(const std::filesystem::path& file) {
  const auto text = read_text(file);
  if (!text) return tl::unexpected(text.error());
  Tokens tokens;
  const auto words = split(*text);
  const bool one_word = words.size() == 1 && text->find('#') == std::string::npos;
  if (one_word && is_token(words[0])) {
    const auto secret = Secret::of_token(words[0]);
    tokens.entries_.push_back({{.name = "token"}, secret});
    return tokens;
  }
  std::istringstream lines(*text);
  int number = 1;
  for (std::string line; std::getline(lines, line); ++number) {
    if (split(line).empty()) continue;
    auto entry = parse_line(line);
    if (!entry) {
      return fail(ErrorKind::invalid,
                  fmt::format("the token file {}, line {}: {}", file.string(), number,
                              entry.error().message),
                  "make a secret with 'openssl rand -hex 32', its hash with 'printf %s SECRET | "
                  "sha256sum'");
    }
    const auto same_name = [&](const Entry& other) {
      return other.identity.name == entry->identity.name;
    };
    if (std::ranges::any_of(tokens.entries_, same_name)) {
      return fail(ErrorKind::invalid, fmt::format("the token file {}, line {}: there is another {}",
                                                  file.string(), number, entry->identity.name));
    }
    tokens.entries_.push_back(std::move(*entry));
  }
  if (tokens.entries_.empty()) {
    return fail(ErrorKind::invalid,
                fmt::format("the token file {} holds neither one word of {} to {} characters nor "
                            "lines NAME ROLE [PROJECT] SECRET",
                            file.string(), shortest_token, longest_token),
                fmt::format("make one with 'umask 077; openssl rand -hex 32 > {}'", file.string()));
  }
  return tokens;
}

std::optional<Identity> Tokens::find(std::string_view token) const {
  const auto digest = Secret::digest_of(token);
  const Entry* found = nullptr;
  for (const auto& entry : entries_) {  // compares with all, whichever fits
    if (entry.secret && entry.secret->fits_token(digest)) found = &entry;
  }
  if (!found) return std::nullopt;
  return found->identity;
}

std::optional<Identity> Tokens::find_certificate(std::string_view common_name) const {
  for (const auto& entry : entries_) {
    if (!entry.secret && entry.identity.name == common_name) return entry.identity;
  }
  return std::nullopt;
}

const Tokens::Entry* Tokens::find_user(std::string_view name) const {
  for (const auto& entry : entries_) {
    if (entry.identity.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace sluice::api
