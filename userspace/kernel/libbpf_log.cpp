#include "kernel/libbpf_log.hpp"

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace sluice::kernel {
namespace {

thread_local std::string* sink = nullptr;

void keep(const char* format, va_list arguments) {
  if (sink == nullptr) return;
  char line[4096];
  std::vsnprintf(line, sizeof line, format, arguments);
  *sink += line;
}

int keep_libbpf(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_WARN) keep(format, arguments);
  return 0;
}

int keep_libxdp(libxdp_print_level level, const char* format, va_list arguments) {
  if (level == LIBXDP_WARN) keep(format, arguments);
  return 0;
}

// Library code never prints, even while nobody keeps the text.
const bool installed = [] {
  libbpf_set_print(keep_libbpf);
  libxdp_set_print(keep_libxdp);
  return true;
}();

}  // namespace

LibbpfLog::LibbpfLog() {
  sink = installed ? &text_ : nullptr;
}
LibbpfLog::~LibbpfLog() {
  sink = nullptr;
}

std::string LibbpfLog::kernel_message() const {
  constexpr std::string_view marker = "Kernel error message: ";
  const auto begin = text_.find(marker);
  if (begin == std::string::npos) return {};
  const auto from = begin + marker.size();
  return text_.substr(from, text_.find('\n', from) - from);
}

std::string LibbpfLog::last_line() const {
  const auto end = text_.find_last_not_of('\n');
  if (end == std::string::npos) return {};
  const auto newline = text_.rfind('\n', end);
  const auto begin = newline == std::string::npos ? 0 : newline + 1;
  return text_.substr(begin, end + 1 - begin);
}

tl::unexpected<Error> fail_bpf(int error, std::string_view what, std::string hint) {
  error = std::abs(error);
  if ((error == EPERM || error == EACCES) && hint.empty()) {
    hint = "run as root or with CAP_BPF and CAP_NET_ADMIN";
  }
  return fail_errno(error, what, std::move(hint));
}

}  // namespace sluice::kernel
