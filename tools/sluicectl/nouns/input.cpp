#include "sluicectl/nouns/input.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

namespace sluice::ctl {

Result<std::string> read_input(const std::string& file) {
  std::ostringstream text;
  if (file == "-") {
    text << std::cin.rdbuf();
    return text.str();
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))  // reads as if it were empty
    return fail_errno(EISDIR, "read " + file, "name a file, or - for standard input");
  std::ifstream stream(file);
  if (stream) text << stream.rdbuf();
  if (!stream || stream.bad() || text.fail()) {
    // Reading an empty file sets failbit on `text` only.
    if (stream && stream.peek() == std::ifstream::traits_type::eof()) return std::string();
    return fail_errno(errno, "read " + file, "name a file, or - for standard input");
  }
  return text.str();
}

}  // namespace sluice::ctl
