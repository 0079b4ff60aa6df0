// A capture's file: whatever frames, comments and names are in it, each block is as long as it says
// at both its ends, and blocks begin at multiples of four.
#include <cstdint>
#include <cstring>
#include <sstream>
#include <string>

#include "expect.hpp"
#include "sluicectl/output/pcapng.hpp"

namespace {

using sluice::fuzz::expect;

// Takes parts off the input: a length, and so many bytes.
struct Parts {
  const std::uint8_t* data;
  std::size_t size;

  std::string next() {
    if (size == 0) return {};
    const std::size_t length = std::min<std::size_t>(data[0], size - 1);
    std::string part(reinterpret_cast<const char*>(data) + 1, length);
    data += length + 1;
    size -= length + 1;
    return part;
  }
};

std::uint32_t number_at(const std::string& file, std::size_t at) {
  std::uint32_t number = 0;
  std::memcpy(&number, file.data() + at, sizeof number);
  return number;
}

void expect_blocks(const std::string& file) {
  std::size_t at = 0;
  while (at < file.size()) {
    expect(file.size() - at >= 12, "a block has a type and two lengths");
    const auto length = number_at(file, at + 4);
    expect(length >= 12 && length % 4 == 0 && length <= file.size() - at,
           "a block's length is right");
    expect(number_at(file, at + length - 4) == length, "and stands at its end, too");
    at += length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Parts parts{data, size};
  std::ostringstream file;
  sluice::ctl::PcapngWriter writer(file, parts.next());
  while (parts.size != 0) {
    sluice::ctl::CapturedFrame frame;
    frame.interface = parts.next();
    frame.comment = parts.next();
    const auto bytes = parts.next();
    frame.bytes.assign(bytes.begin(), bytes.end());
    frame.length = static_cast<std::uint32_t>(bytes.size() + size);
    frame.outbound = bytes.size() % 2 != 0;
    writer.write(frame);
  }
  expect_blocks(file.str());
  return 0;
}
