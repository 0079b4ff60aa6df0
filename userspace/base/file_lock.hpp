// FileLock: a lock between processes, by flock() on a file that names its holder. The kernel
// releases it when the process ends, however that happens.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace sluice {

class FileLock {
 public:
  // Creates the file, for its owner only, if it is missing. If another process still holds the lock
  // after `patience`, the error is ErrorKind::conflict, "WHAT is in use by sluiced (pid 123)", with
  // `hint` as the next step.
  static Result<FileLock> acquire(const std::filesystem::path& file, const std::string& what,
                                  const std::string& hint,
                                  std::chrono::milliseconds patience = std::chrono::seconds(0));

  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();  // removes the file

 private:
  FileLock(std::filesystem::path file, UniqueFd fd) : file_(std::move(file)), fd_(std::move(fd)) {}

  std::filesystem::path file_;
  UniqueFd fd_;
};

}  // namespace sluice
