// Result<T>: a value or an Error. Library code returns it, adds context on the way up, and never
// prints; the programs in tools/ print it once.
//
// An error reads outside-in, names the object and the value, and ends with the next step:
//   attach to eth0: load program: permission denied (run as root or with CAP_BPF and CAP_NET_ADMIN)
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <tl/expected.hpp>
#include <utility>

namespace sluice {

// The kind of a failure, for callers that must act on it (HTTP status, exit code).
enum class ErrorKind {
  invalid,      // the caller's value is wrong: 400, exit 1
  not_found,    // no such object: 404
  conflict,     // clashes with what exists: 409
  forbidden,    // more than the caller may have or do: 403
  unsupported,  // understood, but Sluice does not do that: 501
  system,       // the operating system said no; `system_errno` tells
  internal,     // a bug or a broken invariant: 500
};

struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  std::string hint;      // the next step for the operator; may be empty
  int system_errno = 0;  // 0 unless kind is system

  // The whole sentence, as a program prints it.
  std::string text() const { return hint.empty() ? message : message + " (" + hint + ")"; }

  // The same error seen from one layer further out: "what: message".
  Error within(std::string_view what) && {
    message = std::string(what) + ": " + message;
    return std::move(*this);
  }
};

template <typename T = void>
using Result = tl::expected<T, Error>;

// Makes a function's failure: `return fail(ErrorKind::invalid, "...")`.
inline tl::unexpected<Error> fail(ErrorKind kind, std::string message, std::string hint = {}) {
  return tl::unexpected(Error{kind, std::move(message), std::move(hint), 0});
}

// Makes the failure "what: <strerror>" and keeps the errno; `error` is positive.
inline tl::unexpected<Error> fail_errno(int error, std::string_view what, std::string hint = {}) {
  return tl::unexpected(Error{ErrorKind::system,
                              std::string(what) + ": " + std::generic_category().message(error),
                              std::move(hint), error});
}

// Adds context to an error: `return fail(std::move(r.error()), "attach to eth0")`.
inline tl::unexpected<Error> fail(Error error, std::string_view what) {
  return tl::unexpected(std::move(error).within(what));
}

}  // namespace sluice
