#include "dataplane/hash_key.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

#include "base/fd.hpp"

namespace sluice::dataplane {
namespace {

constexpr std::size_t half_digits = 16;
constexpr const char* hint = "write one with: openssl rand -hex 16";

// A link publishes the complete file, or fails if another sluiced was faster.
Result<void> write_new(const std::filesystem::path& file, const std::string& text) {
  auto beside = file;
  beside += fmt::format(".{}", getpid());
  const UniqueFd fd(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, "make " + beside.string());
  const bool written =
      write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      fsync(fd.get()) == 0;
  const int error = !written ? errno : link(beside.c_str(), file.c_str()) != 0 ? errno : 0;
  unlink(beside.c_str());
  if (error != 0 && error != EEXIST) return fail_errno(error, "make " + file.string());
  return {};
}

}  // namespace

Result<sluice_hash_key> parse_hash_key(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  const auto last = text.find_last_not_of(space);
  const auto digits =
      first == std::string_view::npos ? std::string_view() : text.substr(first, last - first + 1);
  sluice_hash_key key{};
  bool good = digits.size() == 2 * half_digits;
  for (std::size_t half = 0; good && half < 2; ++half) {
    const auto* begin = digits.data() + half * half_digits;
    const auto [end, error] = std::from_chars(begin, begin + half_digits, key.halves[half], 16);
    good = error == std::errc() && end == begin + half_digits;
  }
  if (!good) return fail(ErrorKind::invalid, "it is not a key of 32 hexadecimal digits", hint);
  return key;
}

Result<sluice_hash_key> read_or_make_hash_key(const std::filesystem::path& file) {
  std::error_code unknown;
  if (!std::filesystem::exists(file, unknown)) {
    std::array<std::uint64_t, 2> random{};
    if (getrandom(random.data(), sizeof random, 0) != sizeof random)
      return fail_errno(errno, "make a random key");
    const auto text = fmt::format("{:016x}{:016x}\n", random[0], random[1]);
    if (auto written = write_new(file, text); !written) return tl::unexpected(written.error());
  }
  std::ifstream stream(file);
  if (!stream) return fail_errno(errno, "read " + file.string());
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  auto key = parse_hash_key(text);
  if (!key) return fail(key.error(), "read " + file.string());
  return key;
}

}  // namespace sluice::dataplane
