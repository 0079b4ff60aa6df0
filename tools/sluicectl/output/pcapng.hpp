// Pcapng: writes frames to a file for Wireshark and tcpdump, each with its reason as comment.
//
// Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html. Numbers are in the byte
// order of this machine, which the file's first block tells.
#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

struct CapturedFrame {
  std::uint64_t nanoseconds = 0;  // since 1970
  std::string interface;
  bool outbound = false;
  std::uint32_t length = 0;  // of the frame; `bytes` may be its beginning
  std::vector<std::uint8_t> bytes;
  std::string comment;
};

class PcapngWriter {
 public:
  // Writes the file's beginning, which names `application`.
  PcapngWriter(std::ostream& out, std::string_view application);
  void write(const CapturedFrame& frame);

 private:
  // The interface's number in the file; writes its description before its first frame.
  std::uint32_t number_of(const std::string& interface);

  std::ostream& out_;
  std::map<std::string, std::uint32_t> interfaces_;
};

}  // namespace sluice::ctl
