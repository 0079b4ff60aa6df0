// TlsSession: a TLS client between two buffers. No I/O.
//
// It accepts any certificate, old versions and weak keys, because the only question is whether the
// member answers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct bio_st;

namespace sluice::health {

// The state that all handshakes share. It remembers the last session with each peer, so that the
// next handshake can resume it (RFC 8446, 2.2; RFC 5077), which halves the work on both sides if
// the peer agrees. A session takes some 6 KiB; when there are too many, all are forgotten.
class TlsContext {
 public:
  TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_.get(); }

  static constexpr std::size_t most_sessions = 4096;
  ssl_session_st* session_with(const std::string& peer) const;  // null: none
  void keep(const std::string& peer, ssl_session_st* session);  // takes it over
  void forget(const std::string& peer) { sessions_.erase(peer); }

 private:
  struct FreeSession {
    void operator()(ssl_session_st* session) const;
  };
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> context_;
  std::unordered_map<std::string, std::unique_ptr<ssl_session_st, FreeSession>> sessions_;
};

class TlsSession {
  friend class TlsContext;

 public:
  // `server_name` goes out as SNI. `peer` names the other side, to resume an earlier session with
  // it; empty: no session is resumed. A session that fails is forgotten. The context must outlive
  // this.
  TlsSession(TlsContext& context, const std::optional<std::string>& server_name,
             std::string peer = {});
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Begins the handshake; must be called before take().
  void shake_hands();
  // Takes what the peer sent: continues the handshake, or appends the plain text to `plain`.
  void take(std::string_view bytes, std::string& plain);
  // Precondition: established().
  void write(std::string_view plain);
  // The bytes to send to the peer now.
  std::string output();

  bool established() const;
  bool resumed() const;
  bool ended() const { return ended_; }                // the peer said that nothing more comes
  const std::string& error() const { return error_; }  // empty while all is well

 private:
  void check(int returned);
  static int keep_session(ssl_st* session, ssl_session_st* fresh);

  TlsContext& context_;
  std::string peer_;
  ssl_st* session_ = nullptr;
  bio_st* in_ = nullptr;   // owned by session_
  bio_st* out_ = nullptr;  // owned by session_
  bool ended_ = false;
  std::string error_;
};

}  // namespace sluice::health
