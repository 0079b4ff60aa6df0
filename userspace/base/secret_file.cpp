#include "base/secret_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/fd.hpp"

namespace sluice {

Result<std::string> read_secret_file(const std::filesystem::path& file) {
  std::error_code unknown;
  if (!std::filesystem::exists(file, unknown)) return std::string();
  std::ifstream stream(file);
  if (!stream) return fail_errno(errno, "read " + file.string());
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

Result<void> write_secret_file(const std::filesystem::path& file, const std::string& text) {
  auto beside = file;
  beside += fmt::format(".{}", getpid());
  const auto size = static_cast<ssize_t>(text.size());
  const UniqueFd fd(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const bool is_written = fd && fchmod(fd.get(), 0600) == 0 &&
                          write(fd.get(), text.data(), text.size()) == size &&
                          fsync(fd.get()) == 0 && rename(beside.c_str(), file.c_str()) == 0;
  if (is_written) return {};
  const int error = errno;
  unlink(beside.c_str());
  return fail_errno(error, "write " + file.string());
}

}  // namespace sluice
