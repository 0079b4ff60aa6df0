#include "api/server/tls.hpp"

#include <openssl/ssl.h>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/impl/src.hpp>  // compiled here, once

namespace sluice::api {
namespace {

namespace ssl = boost::asio::ssl;

tl::unexpected<Error> unusable(std::string_view what, const std::filesystem::path& file,
                               const boost::system::error_code& error, std::string hint) {
  return fail(ErrorKind::invalid,
              "read the TLS " + std::string(what) + " " + file.string() + ": " + error.message(),
              std::move(hint));
}

}  // namespace

Result<std::shared_ptr<ssl::context>> make_tls(const std::filesystem::path& certificate,
                                               const std::filesystem::path& key) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                       ssl::context::no_tlsv1_1 | ssl::context::single_dh_use);
  // Renegotiation lets a client make us work for nothing.
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  boost::system::error_code error;
  context->use_certificate_chain_file(certificate.string(), error);
  if (error) return unusable("certificate", certificate, error, "--tls-certificate wants PEM");
  // A key with a passphrase would ask on the terminal: nobody is there.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return ""; },
                                 error);
  context->use_private_key_file(key.string(), ssl::context::pem, error);
  if (error) {
    return unusable("key", key, error,
                    "--tls-key wants the certificate's key as PEM, without a passphrase");
  }
  return context;
}

}  // namespace sluice::api
