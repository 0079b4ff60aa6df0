#include "api/server/access.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/ip_address.hpp"

namespace sluice::api {
namespace {

constexpr std::size_t shortest_token = 16;
constexpr std::size_t longest_token = 4096;

bool is_visible(unsigned char c) {
  return c > 0x20 && c < 0x7f;
}

// In a time that tells nothing about where they differ.
bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// "Bearer x" -> x
std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  if (authorization.size() < scheme.size()) return {};
  for (std::size_t i = 0; i < scheme.size(); ++i) {
    if (lower(authorization[i]) != scheme[i]) return {};
  }
  return authorization.substr(scheme.size());
}

bool is_address_or_localhost(std::string_view host) {
  if (host.starts_with('[')) return host.find(']') != host.npos;
  host = host.substr(0, host.find(':'));
  return host == "localhost" || parse_ip_address(host).has_value();
}

// The file's text, without spaces at its end.
Result<std::string> read_secret(const std::filesystem::path& file) {
  const auto failed = [&] {
    return fail_errno(errno, "read the token file " + file.string(), "see --token-file");
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed();
  struct stat status {};
  std::string text(longest_token + 1, '\0');
  const bool known = ::fstat(fd, &status) == 0;
  const auto size = known ? ::read(fd, text.data(), text.size()) : -1;
  const int error = errno;
  ::close(fd);
  errno = error;
  if (size < 0) return failed();
  if (status.st_mode & S_IROTH) {
    return fail(ErrorKind::invalid,
                fmt::format("every user may read the token file {}", file.string()),
                fmt::format("chmod 600 {}", file.string()));
  }
  text.resize(static_cast<std::size_t>(size));
  while (!text.empty() && !is_visible(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

}  // namespace

Result<Access> Access::with_token(const std::filesystem::path& file) {
  auto token = read_secret(file);
  if (!token) return tl::unexpected(token.error());
  if (token->size() < shortest_token || token->size() > longest_token ||
      !std::all_of(token->begin(), token->end(), is_visible)) {
    return fail(ErrorKind::invalid,
                fmt::format("the token file {} does not hold one word of {} to {} characters",
                            file.string(), shortest_token, longest_token),
                fmt::format("make one with 'umask 077; openssl rand -hex 32 > {}'", file.string()));
  }
  Access access;
  access.token_ = std::move(*token);
  return access;
}

std::optional<std::string> Access::refusal(const Credentials& credentials) const {
  if (token_.empty()) {
    if (is_address_or_localhost(credentials.host)) return std::nullopt;
    return "Without a token the API is for this machine's programs, which call it by an address or "
           "'localhost', not by the name '" +
           std::string(credentials.host) + "'.";
  }
  if (same(credentials.token, token_) || same(bearer(credentials.authorization), token_)) {
    return std::nullopt;
  }
  return "The request you have made requires authentication: send the token of sluiced's token "
         "file "
         "as X-Auth-Token.";
}

}  // namespace sluice::api
