// Access: decides by a request's head, before its body is read, who may use the API over TCP. On
// the unix socket the file's mode decides instead.
//
// There are two questions. Who sends the request? A token or a client certificate tells; if neither
// is required (loopback only), every local process is let in. And did a web page send it? A browser
// on this machine, or one that a page has led to our address by a name of its own, sends whatever
// the page likes. So the Host must be our address or a name that the operator gave, the page that a
// request comes from (Origin, Sec-Fetch-Site) must be our own, and a body must be declared as JSON,
// which a page can't do without asking first. Programs send none of these headers and pass.
//
// The status page's files are open to all, its data (below /ui/data/) is not. A browser that has
// shown a token once reads them with a session's cookie, which is good for nothing else.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/language/identity.hpp"
#include "api/server/issued_tokens.hpp"
#include "api/server/sessions.hpp"
#include "api/server/tokens.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::api {

// The parts of a request's head and connection that access depends on.
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
  std::string_view cookies = {};      // Cookie
};

// Why a request is turned away.
struct Denial {
  unsigned status = 401;
  std::string text;
};

class Access {
 public:
  // The service's names beside its address and "localhost": --api-host and the certificate's.
  using Names = std::vector<std::string>;

  // Lets in every local process.
  static Access local(IpAddress listener, Names names = {});
  // Lets in holders of a token of the file or of the identity service (`issued`; null: there is no
  // such service).
  static Access with_tokens(IpAddress listener, Names names, std::shared_ptr<const Tokens> tokens,
                            std::shared_ptr<const IssuedTokens> issued = nullptr);
  // Lets in holders of a certificate of any name.
  static Access with_certificates(IpAddress listener, Names names);

  // Says whether a request needs a token or a certificate.
  bool wants_credentials() const { return mode_ != Mode::local; }

  // Says whether a token opens a session of the status page.
  bool takes_tokens() const { return mode_ == Mode::tokens; }

  // Identifies the caller; on the few routes that are open to all, a caller without credentials has
  // no name.
  tl::expected<Identity, Denial> admit(const Credentials& credentials) const;

  // Opens a session of the status page for the token's holder.
  struct Opened {
    std::string word;  // what the browser sends from now on
    std::string name;  // whose it is
  };
  tl::expected<Opened, Denial> open_session(std::string_view token) const;
  bool has_session(std::string_view word) const;
  void close_session(std::string_view word) const;

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
  std::shared_ptr<Sessions> sessions_;
};

// The status page's paths.
namespace page_paths {
inline constexpr std::string_view root = "/ui/", session = "/ui/session", data = "/ui/data/";
}

// Says by Origin and Sec-Fetch-Site whether a web page other than the service's own sent this.
bool is_from_a_foreign_page(const Credentials& credentials);

}  // namespace sluice::api
