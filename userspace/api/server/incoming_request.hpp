// IncomingRequest: one HTTP/1.1 request as its bytes come in, and an answer as bytes. Beast's
// parser is behind it, so that only one file pays for compiling it.
//
// Header and body have limits, and a request whose end can't be told for certain is a problem (RFC
// 9112, 6.3): what is read as its body may be another request to whoever stands before us.
#pragma once

#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/language/message.hpp"
#include "api/server/access.hpp"

namespace sluice::api {

class IncomingRequest {
 public:
  using Error = boost::system::error_code;

  IncomingRequest();
  ~IncomingRequest();
  IncomingRequest(const IncomingRequest&) = delete;
  IncomingRequest& operator=(const IncomingRequest&) = delete;

  // Reads on with these bytes, as far as they belong to the header, or to the body after it. How
  // many it took; it wants more unless there was an error. Those that it left are to come first
  // next time.
  std::size_t take(std::string_view bytes, Error& error);
  bool has_header() const;
  bool is_whole() const;

  // What to answer to an error of take(), or of the connection; nullopt when there is nobody to
  // answer.
  std::optional<Response> answer_to(const Error& error) const;
  // The error of a header that fills all room there is.
  static Error header_too_large();

  // From here on the header must be there, and is not changed by what follows.
  std::optional<Response> framing_problem() const;  // nullopt: it is clear
  Credentials credentials() const;                  // views, of what the header says
  // Is its body one that needs more room than most: of a batch or a backup of everything?
  bool is_large() const;
  // How much a body may have: 16 KiB, 1 MiB, 64 MiB; the error if it has announced more. To be said
  // before the body is read.
  enum class Room { strangers, usual, large };
  Error limit_body(Room room);
  bool expects_continue() const;
  bool keeps_alive() const;
  bool is_head() const;

  Request request() const;  // with its body; the caller says who asks, and over what

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The answer as it goes over the wire; the one to HEAD has no body, and the length of the one to
// GET.
std::string as_http(const Response& response, bool keep_alive, bool to_head = false);

}  // namespace sluice::api
