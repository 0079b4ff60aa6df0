// RotatingFile: a file that begins anew when it is full, and keeps some of the earlier ones:
// PATH, PATH.1 (the latest before), PATH.2 ... Together they never take more than
// (keep + 1) * max_bytes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace sluice::records {

class RotatingFile {
 public:
  struct Settings {
    std::filesystem::path path;
    std::uint64_t max_bytes = 0;
    unsigned keep = 0;  // earlier files
  };

  // Opens the file to append to it, or makes it; it is for root and the group `sluice` (0640), if
  // there is one. Makes the directory, too, in such a way that later files get the group without
  // any privilege (set-group-ID). Removes earlier files beyond `keep`.
  static Result<RotatingFile> open(Settings settings);

  // Appends whole lines, at most a quarter of max_bytes. An error means that none of them is in the
  // file. It tries to open the file anew the next time.
  Result<void> append(std::string_view lines);
  // Makes the file anew if somebody has moved or removed it.
  Result<void> look_at_path();

  std::uint64_t bytes() const { return bytes_; }

 private:
  RotatingFile(Settings settings, std::optional<gid_t> group)
      : settings_(std::move(settings)), group_(group) {}
  Result<void> open_file();
  Result<void> rotate();
  std::filesystem::path earlier(unsigned number) const;

  Settings settings_;
  std::optional<gid_t> group_;
  UniqueFd file_;
  std::uint64_t bytes_ = 0;
};

}  // namespace sluice::records
