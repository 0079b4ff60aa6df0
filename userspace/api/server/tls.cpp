#include "api/server/tls.hpp"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/impl/src.hpp>  // compiled here, once
#include <ctime>

namespace sluice::api {
namespace {

namespace ssl = boost::asio::ssl;

constexpr const char* forward_secret_suites = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM";

tl::unexpected<Error> unusable(std::string_view what, const std::filesystem::path& file,
                               const boost::system::error_code& error, std::string hint) {
  return fail(ErrorKind::invalid,
              "read the TLS " + std::string(what) + " " + file.string() + ": " + error.message(),
              std::move(hint));
}

}  // namespace

Result<std::shared_ptr<ssl::context>> make_tls(const std::filesystem::path& certificate,
                                               const std::filesystem::path& key,
                                               const std::filesystem::path& client_ca) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                       ssl::context::no_tlsv1_1 | ssl::context::single_dh_use);
  // Renegotiation lets a client make us work for nothing.
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  // All suites of TLS 1.3 are forward secret.
  SSL_CTX_set_cipher_list(context->native_handle(), forward_secret_suites);
  boost::system::error_code error;
  context->use_certificate_chain_file(certificate.string(), error);
  if (error) return unusable("certificate", certificate, error, "--tls-certificate wants PEM");
  // A key with a passphrase would make OpenSSL ask on the terminal, where nobody is.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return ""; },
                                 error);
  context->use_private_key_file(key.string(), ssl::context::pem, error);
  if (error) {
    return unusable("key", key, error,
                    "--tls-key wants the certificate's key as PEM, without a passphrase");
  }
  if (client_ca.empty()) return context;
  context->load_verify_file(client_ca.string(), error);
  if (error) {
    return unusable("client CA", client_ca, error, "--tls-client-ca wants certificates as PEM");
  }
  // The certificate is optional, because clients may have a token instead.
  context->set_verify_mode(ssl::verify_peer, error);
  auto* names = SSL_load_client_CA_file(client_ca.c_str());
  if (names != nullptr) SSL_CTX_set_client_CA_list(context->native_handle(), names);
  // OpenSSL needs a session context to resume sessions with client certificates.
  constexpr std::string_view sessions = "sluiced";
  SSL_CTX_set_session_id_context(context->native_handle(),
                                 reinterpret_cast<const unsigned char*>(sessions.data()),
                                 static_cast<unsigned>(sessions.size()));
  return context;
}

std::vector<std::string> certificate_names(ssl::context& context) {
  std::vector<std::string> found;
  auto* certificate = SSL_CTX_get0_certificate(context.native_handle());
  if (certificate == nullptr) return found;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int at = 0; at < sk_GENERAL_NAME_num(names); ++at) {
    const auto* name = sk_GENERAL_NAME_value(names, at);
    if (name->type != GEN_DNS) continue;
    const auto* text = name->d.dNSName;
    found.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  GENERAL_NAMES_free(names);
  return found;
}

std::optional<std::chrono::system_clock::time_point> certificate_end(ssl::context& context) {
  std::vector<X509*> chain{SSL_CTX_get0_certificate(context.native_handle())};
  STACK_OF(X509)* above = nullptr;
  SSL_CTX_get0_chain_certs(context.native_handle(), &above);
  for (int at = 0; at < sk_X509_num(above); ++at) chain.push_back(sk_X509_value(above, at));
  std::optional<std::chrono::system_clock::time_point> first;
  for (const auto* certificate : chain) {
    std::tm end{};
    if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
      return std::nullopt;
    const auto at = std::chrono::system_clock::from_time_t(timegm(&end));
    first = first ? std::min(*first, at) : at;
  }
  return first;
}

}  // namespace sluice::api
