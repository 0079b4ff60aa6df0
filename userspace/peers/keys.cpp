#include "peers/keys.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <boost/algorithm/hex.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <cstdlib>
#include <sstream>

#include "base/fd.hpp"

namespace sluice::peers {
namespace {

constexpr const char* hint = "make one with: openssl rand -hex 32";
constexpr std::size_t longest_file = 4096;

// The text may be a secret nearly, so the error doesn't repeat it.
Result<Key> parse_key(const std::string& digits) {
  Key key{};
  std::string bytes;
  try {
    boost::algorithm::unhex(digits, std::back_inserter(bytes));
  } catch (const boost::algorithm::hex_decode_error&) {
    bytes.clear();
  }
  if (bytes.size() != key.size())
    return fail(ErrorKind::invalid, "a line is not a key of 64 hexadecimal digits", hint);
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

}  // namespace

// OpenSSL fails here only without a source of randomness, and then no key is a secret.
std::string new_key_text() {
  Key key{};
  if (RAND_bytes(key.data(), static_cast<int>(key.size())) != 1) std::abort();
  return boost::algorithm::hex_lower(std::string(key.begin(), key.end()));
}

Result<Keys> Keys::parse(std::string_view text) {
  Keys keys;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min(line.find('#'), line.size()));
    boost::algorithm::trim(line);
    if (line.empty()) continue;
    auto key = parse_key(line);
    if (!key) return tl::unexpected(std::move(key.error()));
    keys.keys_.push_back(*key);
  }
  if (keys.keys_.empty()) return fail(ErrorKind::invalid, "it has no key", hint);
  if (keys.keys_.size() > most)
    return fail(ErrorKind::invalid, fmt::format("it has more than {} keys", most));
  return keys;
}

Result<Keys> Keys::read(const std::filesystem::path& file) {
  const auto what = "read the peers' key file " + file.string();
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return fail_errno(errno, what, "see --peer-key-file");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(
        ErrorKind::invalid,
        fmt::format("others than its owner have access to the peers' key file {}", file.string()),
        fmt::format("chmod 600 {}", file.string()));
  }
  std::string text(longest_file, '\0');
  const auto got = ::read(fd.get(), text.data(), text.size());
  if (got < 0) return fail_errno(errno, what);
  text.resize(static_cast<std::size_t>(got));
  auto keys = parse(text);
  if (!keys) return fail(std::move(keys.error()), what);
  return keys;
}

}  // namespace sluice::peers
