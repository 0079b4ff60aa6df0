// UnixSocket: a listening unix socket that only root and the group `sluice` can reach, and its
// file.
#pragma once

#include <sys/stat.h>

#include <filesystem>

#include "base/result.hpp"

namespace sluice::api {

class UnixSocket {
 public:
  // Creates the directory where it is missing and listens with mode 0660, group `sluice` where
  // there is such a group and we may give it. A file that a dead process left behind is replaced;
  // one that somebody still answers on, or that is no socket, is an error.
  static Result<UnixSocket> listen(const std::filesystem::path& path);

  // Hands the listening descriptor over; the file stays this object's.
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
