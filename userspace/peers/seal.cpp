#include "peers/seal.hpp"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace sluice::peers {
namespace {

constexpr std::size_t key_at = 4, salt_at = 8, counter_at = 24;

// OpenSSL fails here only without memory, or without the algorithms of every build of it. There is
// no way to go on that keeps a secret.
void require(bool done) {
  if (!done) std::abort();
}

// HKDF with SHA-256.
void derive(const Key& key, View salt, std::string_view info, std::span<std::uint8_t> out) {
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
  EVP_KDF_free(kdf);
  require(context != nullptr);
  char digest[] = "SHA256";
  const auto octets = [](const char* name, const void* data, std::size_t size) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<void*>(data), size);
  };
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
      octets(OSSL_KDF_PARAM_SALT, salt.data(), salt.size()),
      octets(OSSL_KDF_PARAM_INFO, info.data(), info.size()), OSSL_PARAM_construct_end()};
  require(EVP_KDF_derive(context, out.data(), out.size(), parameters) == 1);
  EVP_KDF_CTX_free(context);
}

std::array<std::uint8_t, 12> nonce_of(std::uint64_t counter) {
  std::array<std::uint8_t, 12> nonce{};
  boost::endian::store_big_u64(nonce.data() + 4, counter);
  return nonce;
}

int size_of(View bytes) {
  return static_cast<int>(bytes.size());
}

}  // namespace

KeyId id_of(const Key& key) {
  KeyId id{};
  derive(key, Salt{}, "sluice peers: which key", id);
  return id;
}

Salt new_salt() {
  Salt salt{};
  require(RAND_bytes(salt.data(), static_cast<int>(salt.size())) == 1);
  return salt;
}

tl::expected<Head, HeadFault> parse_head(View datagram) {
  if (datagram.size() < seal_head + seal_tag || datagram.size() > max_datagram)
    return tl::unexpected(HeadFault::malformed);
  if (datagram[0] != seal_version) return tl::unexpected(HeadFault::version);
  Head head;
  std::copy_n(datagram.begin() + key_at, head.key.size(), head.key.begin());
  std::copy_n(datagram.begin() + salt_at, head.salt.size(), head.salt.begin());
  head.counter = boost::endian::load_big_u64(datagram.data() + counter_at);
  return head;
}

Cipher::Cipher(const Key& key, const KeyId& id, const Salt& salt)
    : id_(id), salt_(salt), sealing_(EVP_CIPHER_CTX_new()), opening_(EVP_CIPHER_CTX_new()) {
  std::array<std::uint8_t, 32> own{};
  derive(key, salt, "sluice peers 1", own);
  const auto* algorithm = EVP_chacha20_poly1305();
  require(EVP_EncryptInit_ex(sealing_.get(), algorithm, nullptr, own.data(), nullptr) == 1);
  require(EVP_DecryptInit_ex(opening_.get(), algorithm, nullptr, own.data(), nullptr) == 1);
}

Bytes Cipher::seal(View body, std::uint64_t counter) {
  Bytes datagram(seal_head + body.size() + seal_tag);
  datagram[0] = seal_version;
  std::copy(id_.begin(), id_.end(), datagram.begin() + key_at);
  std::copy(salt_.begin(), salt_.end(), datagram.begin() + salt_at);
  boost::endian::store_big_u64(datagram.data() + counter_at, counter);
  const auto nonce = nonce_of(counter);
  int length = 0;
  auto* sealed = datagram.data() + seal_head;
  auto* context = sealing_.get();
  require(EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
          EVP_EncryptUpdate(context, nullptr, &length, datagram.data(), seal_head) == 1 &&
          EVP_EncryptUpdate(context, sealed, &length, body.data(), size_of(body)) == 1 &&
          EVP_EncryptFinal_ex(context, sealed + length, &length) == 1 &&
          EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, seal_tag, sealed + body.size()) == 1);
  return datagram;
}

std::optional<Bytes> Cipher::open(View datagram, std::uint64_t counter) {
  const auto sealed = datagram.subspan(seal_head, datagram.size() - seal_head - seal_tag);
  auto tag = datagram.last(seal_tag);
  const auto nonce = nonce_of(counter);
  Bytes body(sealed.size());
  int length = 0;
  auto* context = opening_.get();
  require(EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
          EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, seal_tag,
                              const_cast<std::uint8_t*>(tag.data())) == 1 &&
          EVP_DecryptUpdate(context, nullptr, &length, datagram.data(), seal_head) == 1 &&
          EVP_DecryptUpdate(context, body.data(), &length, sealed.data(), size_of(sealed)) == 1);
  if (EVP_DecryptFinal_ex(context, body.data() + length, &length) != 1) return std::nullopt;
  return body;
}

bool ReplayWindow::take(std::uint64_t counter) {
  if (counter + width < end_ || counter == ~std::uint64_t{0}) return false;
  const auto clear = std::min(counter < end_ ? 0 : counter + 1 - end_, width);
  for (std::uint64_t i = 0; i < clear; ++i) {
    const auto place = (counter - i) % width;
    come_[place / 64] &= ~(std::uint64_t{1} << place % 64);
  }
  end_ = std::max(end_, counter + 1);
  auto& word = come_[counter % width / 64];
  const auto bit = std::uint64_t{1} << counter % 64;
  if ((word & bit) != 0) return false;
  word |= bit;
  return true;
}

}  // namespace sluice::peers
