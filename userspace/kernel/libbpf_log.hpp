// libbpf and libxdp explain failures on stderr only; here their warnings become part of our errors.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::kernel {

// While it lives, warnings of libbpf and libxdp on this thread are kept instead of printed. Don't
// nest.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  const std::string& text() const { return text_; }
  // What the kernel said through netlink ("Kernel error message: ..."); empty when it said nothing.
  std::string kernel_message() const;
  // The last line, which names the cause when the verifier refuses a program.
  std::string last_line() const;

 private:
  std::string text_;
};

// fail_errno with the hint that a missing capability deserves. `error` may be negative, as libbpf
// returns it.
tl::unexpected<Error> fail_bpf(int error, std::string_view what, std::string hint = {});

}  // namespace sluice::kernel
