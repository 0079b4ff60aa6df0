// Access: who may use the API over TCP, decided by a request's head before its body is read. On the
// unix socket the file's mode decides, and nothing here applies.
//
// Two questions. Whose request is it: a token or a client certificate tells, or, where none of them
// is asked for (loopback only), being on this machine. And did a web page send it: a browser on
// this machine, or one that was led to our address by a name of the page's own, sends what the page
// likes. So the Host must be an address of ours or a name that the operator gave, the page that a
// request comes from (Origin, Sec-Fetch-Site) must be our own, and a body must be declared as JSON,
// which a page can't do without asking first. Programs send none of these headers and pass.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/language/identity.hpp"
#include "api/server/issued_tokens.hpp"
#include "api/server/tokens.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::api {

// The parts of a request's head, and of its connection, that decide.
struct Credentials {
  std::string_view method = "GET";
  std::string_view target = "/";
  std::string_view host = {};           // the Host header
  std::string_view token = {};          // X-Auth-Token
  std::string_view authorization = {};  // Authorization
  std::string_view origin = {};         // Origin
  std::string_view fetch_site = {};     // Sec-Fetch-Site
  std::string_view content_type = {};
  bool has_body = false;
  bool tls = false;
  std::string_view certificate = {};  // the common name of a client certificate that was verified
};

// Why a request is turned away.
struct Denial {
  unsigned status = 401;
  std::string text;
};

class Access {
 public:
  // The names of the service beside its address and "localhost": --api-host and the certificate's.
  using Names = std::vector<std::string>;

  // For every local process.
  static Access local(IpAddress listener, Names names = {});
  // For holders of a token of the file, or of one that the identity service gave out (`issued`;
  // null: there is no such service).
  static Access with_tokens(IpAddress listener, Names names, std::shared_ptr<const Tokens> tokens,
                            std::shared_ptr<const IssuedTokens> issued = nullptr);
  // For holders of a certificate, whatever name it has.
  static Access with_certificates(IpAddress listener, Names names);

  // Does a request need more than to come from this machine?
  bool wants_credentials() const { return mode_ != Mode::local; }

  // Who asks; an identity without a name is anybody, for the few routes that are open to all.
  tl::expected<Identity, Denial> admit(const Credentials& credentials) const;

 private:
  enum class Mode { local, tokens, certificates };
  Access(Mode mode, IpAddress listener, Names names);

  std::optional<Denial> judge_sender(const Credentials& credentials) const;
  bool is_our_host(std::string_view host) const;
  std::optional<Identity> identify(const Credentials& credentials) const;
  std::optional<Identity> holder_of(std::string_view token) const;
  bool is_open(const Credentials& credentials) const;

  Mode mode_;
  IpAddress listener_;
  Names names_;
  std::shared_ptr<const Tokens> tokens_;
  std::shared_ptr<const IssuedTokens> issued_;
};

// Did a web page that isn't the service's own send this? (Origin, Sec-Fetch-Site.)
bool is_from_a_foreign_page(const Credentials& credentials);

}  // namespace sluice::api
