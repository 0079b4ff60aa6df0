#include "api/server/secret.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <bit>
#include <charconv>
#include <span>

namespace sluice::api {
namespace {

using Bytes = std::vector<unsigned char>;

// These are OWASP's recommended parameters for 16 MiB.
constexpr std::uint64_t usual_cost = 16384, usual_block_size = 8, usual_parallel = 5;
constexpr std::uint64_t most_memory = 64 * 1024 * 1024;
constexpr std::uint64_t most_parallel = 16;
constexpr std::size_t salt_size = 16;

std::optional<Bytes> parse_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  Bytes bytes(hex.size() / 2);
  for (const auto* digits = hex.data(); auto& byte : bytes) {
    const auto [end, error] = std::from_chars(digits, digits + 2, byte, 16);
    if (error != std::errc() || end != digits + 2) return std::nullopt;
    digits = end;
  }
  return bytes;
}

bool parse_digest(std::string_view hex, Secret::Digest& digest) {
  const auto bytes = parse_hex(hex);
  if (!bytes || bytes->size() != digest.size()) return false;
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return true;
}

std::string to_hex(std::span<const unsigned char> bytes) {
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

// Takes the text up to the next colon off its front.
std::string_view next_field(std::string_view& text) {
  const auto field = text.substr(0, text.find(':'));
  text.remove_prefix(std::min(text.size(), field.size() + 1));
  return field;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || rest != text.data() + text.size() || text.empty()) {
    return std::nullopt;
  }
  return number;
}

bool is_bearable(std::uint64_t cost, std::uint64_t block_size, std::uint64_t parallel) {
  return cost >= 2 && std::has_single_bit(cost) && block_size >= 1 && parallel >= 1 &&
         parallel <= most_parallel && cost <= most_memory && block_size <= most_memory &&
         128 * cost * block_size <= most_memory;
}

bool derive(std::string_view password, const Bytes& salt, std::uint64_t cost,
            std::uint64_t block_size, std::uint64_t parallel, Secret::Digest& into) {
  return EVP_PBE_scrypt(password.data(), password.size(), salt.data(), salt.size(), cost,
                        block_size, parallel, 2 * most_memory, into.data(), into.size()) == 1;
}

}  // namespace

Secret::Digest Secret::digest_of(std::string_view token) {
  Digest digest;
  ::SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

Secret Secret::of_token(std::string_view token) {
  Secret secret;
  secret.hash_ = digest_of(token);
  return secret;
}

std::optional<Secret> Secret::parse(std::string_view text) {
  Secret secret;
  const auto scheme = next_field(text);
  if (scheme == "sha256") {
    if (!parse_digest(text, secret.hash_)) return std::nullopt;
    return secret;
  }
  if (scheme != "scrypt") return std::nullopt;
  const auto cost = parse_number(next_field(text));
  const auto block_size = parse_number(next_field(text));
  const auto parallel = parse_number(next_field(text));
  auto salt = parse_hex(next_field(text));
  if (!cost || !block_size || !parallel || !is_bearable(*cost, *block_size, *parallel) || !salt ||
      salt->size() < salt_size || !parse_digest(text, secret.hash_)) {
    return std::nullopt;
  }
  secret.cost_ = *cost;
  secret.block_size_ = *block_size;
  secret.parallel_ = *parallel;
  secret.salt_ = std::move(*salt);
  return secret;
}

Result<std::string> Secret::of_password(std::string_view password) {
  Bytes salt(salt_size);
  Digest hash;
  if (RAND_bytes(salt.data(), static_cast<int>(salt.size())) != 1 ||
      !derive(password, salt, usual_cost, usual_block_size, usual_parallel, hash)) {
    return fail(ErrorKind::system, "OpenSSL derives no key with scrypt");
  }
  return fmt::format("scrypt:{}:{}:{}:{}:{}", usual_cost, usual_block_size, usual_parallel,
                     to_hex(salt), to_hex(hash));
}

const Secret& Secret::nobodys() {
  static const Secret secret = [] {
    Secret made;
    made.cost_ = usual_cost;
    made.block_size_ = usual_block_size;
    made.parallel_ = usual_parallel;
    made.salt_.resize(salt_size);
    RAND_bytes(made.hash_.data(), static_cast<int>(made.hash_.size()));
    return made;
  }();
  return secret;
}

bool Secret::fits_token(const Digest& digest) const {
  return is_token() && CRYPTO_memcmp(digest.data(), hash_.data(), hash_.size()) == 0;
}

bool Secret::fits(std::string_view word) const {
  if (is_token()) return fits_token(digest_of(word));
  Digest digest;
  return derive(word, salt_, cost_, block_size_, parallel_, digest) &&
         CRYPTO_memcmp(digest.data(), hash_.data(), hash_.size()) == 0;
}

}  // namespace sluice::api
