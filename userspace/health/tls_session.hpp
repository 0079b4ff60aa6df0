// TlsSession: the client's side of TLS between two buffers. No I/O.
//
// Certificates aren't looked at, old versions and weak keys are fine: the question is whether the
// member answers, and what it answers goes nowhere.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct ssl_ctx_st;
struct ssl_st;
struct bio_st;

namespace sluice::health {

class TlsContext {
 public:
  TlsContext();
  ssl_ctx_st* get() const { return context_.get(); }

 private:
  std::shared_ptr<ssl_ctx_st> context_;
};

class TlsSession {
 public:
  // `server_name` goes out as SNI.
  TlsSession(const TlsContext& context, const std::optional<std::string>& server_name);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Goes on with the handshake. Call first, before anything came.
  void shake_hands();
  // What the peer sent; goes on with the handshake, or appends what it says to `plain`.
  void take(std::string_view bytes, std::string& plain);
  // Precondition: established().
  void write(std::string_view plain);
  // What to send to the peer now.
  std::string output();

  bool established() const;
  bool ended() const { return ended_; }                // the peer said that nothing more comes
  const std::string& error() const { return error_; }  // empty while all is well

 private:
  void check(int returned);

  ssl_st* session_ = nullptr;
  bio_st* in_ = nullptr;   // owned by session_
  bio_st* out_ = nullptr;  // owned by session_
  bool ended_ = false;
  std::string error_;
};

}  // namespace sluice::health
