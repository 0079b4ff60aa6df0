// Keystone: as much of OpenStack's identity service as clients that insist on one need, under
// /identity: versions, signing in, and a token's reading and end.
//
// Users are those of the token file, with its secrets, roles and projects; a name is its own id. A
// password is checked on a thread of its own, one at a time, since that takes a fifth of a second
// on purpose. Who guesses wrong five times a minute waits; no answer tells which part was wrong.
// The URLs of the catalogue are what the operator says, never what a request says: whoever could
// write them would be sent the tokens of others.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/language/message.hpp"
#include "api/server/issued_tokens.hpp"
#include "api/server/tokens.hpp"
#include "base/ip_address.hpp"

namespace sluice::api {

struct KeystoneOptions {
  std::shared_ptr<const Tokens> users;
  std::shared_ptr<IssuedTokens> issued;
  std::string public_endpoint;  // "https://lb.example:9876", without a slash at its end
  std::string default_project_id;
};

class Keystone {
 public:
  struct Outcome {
    Response response;
    std::string user = {};     // who signed in
    std::string failure = {};  // for the log: why somebody could not
  };
  using Done = std::function<void(Outcome)>;

  // Works on the context's thread, which must not run any more when the last copy goes.
  Keystone(boost::asio::io_context& context, KeystoneOptions options);

  // Is the path one of the identity service's?
  static bool serves(std::string_view target);
  // The few routes that are open to all.
  static bool is_open(std::string_view method, std::string_view target);

  // Gives `done` the answer, within the call or later on the context's thread.
  void answer(const Request& request, const IpAddress& from, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::api
