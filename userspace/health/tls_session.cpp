#include "health/tls_session.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>

namespace sluice::health {
namespace {

std::string last_error() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "protocol error" : reason;
}

}  // namespace

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
  if (!context_) throw std::bad_alloc();
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
  // Without this callback OpenSSL builds and checks a chain, whose outcome nobody wants.
  SSL_CTX_set_cert_verify_callback(
      context_.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  SSL_CTX_set_security_level(context_.get(), 0);
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
  SSL_CTX_set_options(context_.get(), SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(context_.get(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_.get(), TlsSession::keep_session);
  SSL_CTX_set_mode(context_.get(), SSL_MODE_RELEASE_BUFFERS);
}

void TlsContext::FreeSession::operator()(ssl_session_st* session) const {
  SSL_SESSION_free(session);
}

ssl_session_st* TlsContext::session_with(const std::string& peer) const {
  const auto found = sessions_.find(peer);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void TlsContext::keep(const std::string& peer, ssl_session_st* session) {
  if (sessions_.size() >= most_sessions && !sessions_.contains(peer)) sessions_.clear();
  sessions_[peer].reset(session);
}

TlsSession::TlsSession(TlsContext& context, const std::optional<std::string>& server_name,
                       std::string peer)
    : context_(context),
      peer_(std::move(peer)),
      session_(SSL_new(context.get())),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())) {
  if (session_ == nullptr || in_ == nullptr || out_ == nullptr) throw std::bad_alloc();
  SSL_set_bio(session_, in_, out_);
  SSL_set_connect_state(session_);
  if (server_name) SSL_set_tlsext_host_name(session_, server_name->c_str());
  SSL_set_app_data(session_, this);
  if (auto* earlier = context.session_with(peer_)) SSL_set_session(session_, earlier);
}

TlsSession::~TlsSession() {
  // We close without a close_notify; without this call OpenSSL would take the session for broken.
  if (established() && error_.empty())
    SSL_set_shutdown(session_, SSL_SENT_SHUTDOWN);
  else
    context_.forget(peer_);
  SSL_free(session_);
}

int TlsSession::keep_session(ssl_st* session, ssl_session_st* fresh) {
  const auto* self = static_cast<TlsSession*>(SSL_get_app_data(session));
  if (self->peer_.empty()) return 0;
  self->context_.keep(self->peer_, fresh);
  return 1;  // it is ours now
}

bool TlsSession::resumed() const {
  return SSL_session_reused(session_) == 1;
}

bool TlsSession::established() const {
  return SSL_is_init_finished(session_) == 1;
}

void TlsSession::shake_hands() {
  check(SSL_do_handshake(session_));
}

void TlsSession::take(std::string_view bytes, std::string& plain) {
  BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  if (!established()) shake_hands();
  std::array<char, 4096> buffer;
  while (established() && error_.empty() && !ended_) {
    const int size = SSL_read(session_, buffer.data(), static_cast<int>(buffer.size()));
    check(size);
    if (size <= 0) return;
    plain.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

void TlsSession::write(std::string_view plain) {
  check(SSL_write(session_, plain.data(), static_cast<int>(plain.size())));
}

std::string TlsSession::output() {
  std::string bytes(BIO_ctrl_pending(out_), '\0');
  if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void TlsSession::check(int returned) {
  if (returned > 0) return;
  switch (SSL_get_error(session_, returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return;
    case SSL_ERROR_ZERO_RETURN:
      ended_ = true;
      return;
    default:
      error_ = last_error();
  }
}

}  // namespace sluice::health
