#include "sluicectl/bundle/redaction.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <sstream>

namespace sluice::ctl {
namespace {

constexpr std::string_view mark = "[taken out]";
constexpr std::size_t shortest_secret = 8;
// Ids have 32 hexadecimal digits, request ids and hashes of programs fewer.
constexpr std::size_t longest_number = 40;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

bool is_hex(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) != 0;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string without(std::string text, std::string_view secret) {
  for (auto at = text.find(secret); at != text.npos; at = text.find(secret, at + mark.size()))
    text.replace(at, secret.size(), mark);
  return text;
}

std::string without_private_keys(std::string text) {
  constexpr std::string_view begin = "-----BEGIN ", end = "-----END ", dashes = "-----";
  for (auto at = text.find(begin); at != text.npos; at = text.find(begin, at + 1)) {
    const auto label = text.find(dashes, at + begin.size());
    if (label == text.npos) break;
    if (text.substr(at, label - at).find("PRIVATE KEY") == text.npos) continue;
    const auto last = text.find(end, label);
    const auto close = last == text.npos ? text.npos : text.find(dashes, last + end.size());
    const auto stop = close == text.npos ? text.size() : close + dashes.size();
    text.replace(at, stop - at, mark);
  }
  return text;
}

bool names_a_secret(const std::string& word) {
  constexpr std::array<std::string_view, 9> names = {"password", "passwd",     "secret",
                                                     "token",    "apikey",     "api-key",
                                                     "api_key",  "privatekey", "private_key"};
  return std::ranges::any_of(names, [&](auto name) { return word.ends_with(name); });
}

// Where the value of this word begins, if it is one that is followed by a secret; npos: none.
std::size_t value_after(const std::string& text, const std::string& word, std::size_t end) {
  const auto begin = std::min(text.find_first_not_of(" \t\"'=:", end), text.size());
  const auto between = std::string_view(text).substr(end, begin - end);
  if (between.empty()) return text.npos;
  const bool assigned = between.find_first_of("=:") != between.npos;
  if ((word == "sha256" || word == "scrypt") && between == ":") return begin;
  if (word == "bearer" && !assigned) return begin;
  if (names_a_secret(word) && (assigned || word.starts_with("--"))) return begin;
  return text.npos;
}

// The text, word by word, without values of secret names and long numbers.
std::string without_values(const std::string& text) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    if (!is_word(text[at])) {
      out += text[at++];
      continue;
    }
    auto end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    const auto word = std::string_view(text).substr(at, end - at);
    const bool number = word.size() >= longest_number && std::ranges::all_of(word, is_hex);
    out += number ? mark : word;
    const auto value = value_after(text, lower(word), end);
    at = end;
    if (value == text.npos || value >= text.size()) continue;
    const auto stop = std::min(text.find_first_of(" \t\r\n\"',;}", value), text.size());
    const auto what = std::string_view(text).substr(value, stop - value);
    // "token": false says whether there is one.
    if (what.empty() || what == "true" || what == "false" || what == "null") continue;
    out.append(text, end, value - end).append(mark);
    at = stop;
  }
  return out;
}

}  // namespace

void Redaction::learn(std::string_view secret) {
  if (secret.size() < shortest_secret) return;
  secrets_.emplace_back(secret);
  std::ranges::sort(secrets_, std::ranges::greater(), &std::string::size);
}

void Redaction::learn_file(std::string_view text) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    // A token's line ends in its secret or in the word "certificate"; other files have one word a
    // line.
    const auto blank = line.find_last_of(" \t");
    const auto last = blank == line.npos ? line : line.substr(blank + 1);
    const bool digits =
        std::ranges::any_of(last, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (blank == line.npos || digits) learn(last);
  }
}

std::string Redaction::clean(std::string text) const {
  for (const auto& secret : secrets_) text = without(std::move(text), secret);
  return without_values(without_private_keys(std::move(text)));
}

std::vector<std::string> secret_files(std::string_view configuration, std::string_view otherwise) {
  constexpr std::array<std::string_view, 3> names = {"token-file", "tls-key", "hash-key-file"};
  std::vector<std::string> files;
  bool has_hash_key = false;
  std::istringstream lines{std::string(configuration)};
  for (std::string line; std::getline(lines, line);) {
    std::erase_if(line, [](unsigned char c) { return std::isspace(c) != 0; });
    const auto equals = line.find('=');
    if (line.starts_with('#') || equals == line.npos) continue;
    const auto name = line.substr(0, equals);
    if (std::ranges::find(names, name) == names.end()) continue;
    files.push_back(line.substr(equals + 1));
    has_hash_key |= name == "hash-key-file";
  }
  if (!has_hash_key) files.emplace_back(otherwise);
  return files;
}

}  // namespace sluice::ctl
