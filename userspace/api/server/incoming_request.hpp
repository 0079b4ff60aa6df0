// IncomingRequest: parses one HTTP/1.1 request as its bytes come in, and writes an answer as bytes.
// It hides Beast's parser, so that only one file pays for compiling that.
//
// Header and body have limits. A request whose end is ambiguous (RFC 9112, 6.3) is refused: what we
// read as its body may be another request to a proxy before us.
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

  // Parses these bytes as far as they belong to the header, or to the body after it. Returns how
  // many it took; the caller passes the rest again. More are needed unless there was an error.
  std::size_t take(std::string_view bytes, Error& error);
  bool has_header() const;
  bool is_whole() const;

  // The answer to an error of take() or of the connection; nullopt if nobody is left to answer.
  std::optional<Response> answer_to(const Error& error) const;
  // The error of a header that fills the whole buffer.
  static Error header_too_large();

  // Precondition of all that follows: the header is complete.
  std::optional<Response> framing_problem() const;  // nullopt: none
  Credentials credentials() const;                  // views into the header
  // Says whether the body may need more room than most: a batch or a backup.
  bool is_large() const;
  // Limits the body to 16 KiB, 1 MiB or 64 MiB; an error if it has announced more. Must be called
  // before the body is read.
  enum class Room { strangers, usual, large };
  Error limit_body(Room room);
  bool expects_continue() const;
  bool keeps_alive() const;
  bool is_head() const;
  // Says how a body of unknown length can be sent: before HTTP/1.1 its end is the connection's.
  bool takes_chunks() const;

  Request request() const;  // with its body; the caller adds identity and scheme

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes the answer in HTTP, or its head alone: that of HEAD has the length of GET's body. A body
// that comes in pieces follows `in_chunks`, or until the connection ends.
std::string as_http(const Response& response, bool keep_alive);
std::string head_of(const Response& response, bool keep_alive, bool in_chunks = false);

}  // namespace sluice::api
