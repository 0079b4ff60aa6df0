// Keystone: the part of OpenStack's identity service that clients need, under /identity: versions,
// signing in, and reading and ending a token.
//
// Users are those of the token file, with its secrets, roles and projects; a name is its own id.
// Passwords are checked one at a time on a thread of their own, because checking takes a fifth of a
// second on purpose. After five wrong guesses in a minute an address must wait; no answer tells
// which part was wrong. The catalogue's URLs come from the operator, never from a request: an
// attacker who could choose them would be sent the tokens of others.
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

  // Works on the context's thread, which must have stopped when the last copy is destroyed.
  Keystone(boost::asio::io_context& context, KeystoneOptions options);

  // Says whether the path belongs to the identity service.
  static bool serves(std::string_view target);
  // Says whether the route is open to all; few are.
  static bool is_open(std::string_view method, std::string_view target);

  // Gives `done` the answer, within the call or later on the context's thread.
  void answer(const Request& request, const IpAddress& from, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::api
