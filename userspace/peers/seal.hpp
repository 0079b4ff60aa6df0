// The seal of a datagram: ChaCha20-Poly1305 (RFC 8439) with a key of its own for each sender and
// start, which HKDF (RFC 5869) derives from the shared key and a random salt. The nonce is a
// counter.
//
//   version 1, three zeros, which of the keys (4), salt (16), counter (8) | sealed body | tag (16)
//
// What stands before the body is authenticated with it. Pure, but for the random salt.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "peers/datagram.hpp"
#include "peers/keys.hpp"

namespace sluice::peers {

constexpr std::uint8_t seal_version = 1;
constexpr std::size_t seal_head = 32;
constexpr std::size_t seal_tag = 16;
static_assert(max_body + seal_head + seal_tag == max_datagram);

// Which of the keys a datagram is sealed with: four bytes that tell nothing about the key.
using KeyId = std::array<std::uint8_t, 4>;
KeyId id_of(const Key& key);

Salt new_salt();

struct Head {
  KeyId key{};
  Salt salt{};
  std::uint64_t counter = 0;
};
enum class HeadFault { malformed, version };
tl::expected<Head, HeadFault> parse_head(View datagram);

// Seals and opens with the key of one salt.
class Cipher {
 public:
  Cipher(const Key& key, const KeyId& id, const Salt& salt);

  // The body, sealed. No two may have the same counter.
  Bytes seal(View body, std::uint64_t counter);
  // The body of a datagram whose head was parsed; nullopt: it is forged, or damaged.
  std::optional<Bytes> open(View datagram, std::uint64_t counter);

  const KeyId& key() const { return id_; }

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;

  KeyId id_;
  Salt salt_;
  Context sealing_, opening_;
};

// The counters of a sender that have come. Each is good once, in any order, unless it is so far
// behind that it isn't known any more.
class ReplayWindow {
 public:
  static constexpr std::uint64_t width = 4096;

  // False: it has come before, or nobody knows.
  bool take(std::uint64_t counter);

 private:
  std::uint64_t end_ = 0;  // one past the latest
  std::array<std::uint64_t, width / 64> come_{};
};

}  // namespace sluice::peers
