// LibbpfLog: makes the warnings of libbpf and libxdp, which they print on stderr, a part of our
// errors.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::kernel {

// Keeps the warnings of libbpf and libxdp on this thread while it lives, instead of letting them be
// printed. Must not be nested.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  const std::string& text() const { return text_; }
  // The kernel's message through netlink ("Kernel error message: ..."); empty if there was none.
  std::string kernel_message() const;
  // The last line, which names the cause when the verifier refuses a program.
  std::string last_line() const;

 private:
  std::string text_;
};

// fail_errno() with a hint if a capability is missing. `error` may be negative, as libbpf returns
// it.
tl::unexpected<Error> fail_bpf(int error, std::string_view what, std::string hint = {});

}  // namespace sluice::kernel
