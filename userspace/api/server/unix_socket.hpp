// UnixSocket: a listening unix socket that only root and the group `sluice` can reach, and its
// file.
#pragma once

#include <sys/stat.h>

#include <filesystem>

#include "base/result.hpp"

namespace sluice::api {

class UnixSocket {
 public:
  // Creates the directory if it is missing, and listens with mode 0660 and group `sluice`, if that
  // exists and we may set it. A dead process's socket is replaced; one that still answers, or a
  // file that is not a socket, is an error.
  static Result<UnixSocket> listen(const std::filesystem::path& path);

  // Hands over the listening descriptor; this object keeps the file.
  int release_descriptor();

  UnixSocket(UnixSocket&& other) noexcept;
  UnixSocket& operator=(UnixSocket&& other) noexcept;
  ~UnixSocket();  // closes, and removes the file if it is still the one that listen() made

 private:
  UnixSocket() = default;

  int descriptor_ = -1;
  std::filesystem::path path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace sluice::api
