// The bytes of a capture file.
#include "sluicectl/output/pcapng.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

namespace sluice::ctl {
namespace {

// The file as 32-bit words; texts are compared on their own.
std::vector<std::uint32_t> words(const std::string& file) {
  std::vector<std::uint32_t> out(file.size() / 4);
  std::memcpy(out.data(), file.data(), out.size() * 4);
  return out;
}

std::uint32_t word(const char (&four)[5]) {
  std::uint32_t out = 0;
  std::memcpy(&out, four, 4);
  return out;
}

CapturedFrame frame() {
  return {.nanoseconds = 0x0123456789abcdef,
          .interface = "eth0",
          .outbound = false,
          .length = 60,
          .bytes = {'a', 'b', 'c', 'd', 'e'},
          .comment = "fin (x)"};
}

TEST(Pcapng, ASectionAnInterfaceAndAFrameEachAsTheFormatWantsThem) {
  std::ostringstream out;
  PcapngWriter file(out, "test");
  const auto beginning = out.str().size();
  file.write(frame());
  EXPECT_EQ(words(out.str().substr(0, beginning)),
            (std::vector<std::uint32_t>{0x0a0d0d0a, 40, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff,
                                        4 << 16 | 4, word("test"), 0, 40}));
  EXPECT_EQ(words(out.str().substr(beginning)),
            (std::vector<std::uint32_t>{1,
                                        40,
                                        1,
                                        0,
                                        4 << 16 | 2,
                                        word("eth0"),
                                        1 << 16 | 9,
                                        9,
                                        0,
                                        40,  //
                                        6,
                                        64,
                                        0,
                                        0x01234567,
                                        0x89abcdef,
                                        5,
                                        60,
                                        word("abcd"),
                                        'e',  //
                                        7 << 16 | 1,
                                        word("fin "),
                                        word({'(', 'x', ')', 0, 0}),
                                        4 << 16 | 2,
                                        1,
                                        0,
                                        64}));
}

TEST(Pcapng, AnInterfaceIsDescribedOnce) {
  std::ostringstream out;
  PcapngWriter file(out, "test");
  auto one = frame();
  file.write(one);
  auto size = out.str().size();
  file.write(one);
  EXPECT_EQ(out.str().size() - size, 64U);
  one.interface = "eth1";
  one.outbound = true;
  size = out.str().size();
  file.write(one);
  const auto last = words(out.str().substr(size));
  ASSERT_EQ(last.size(), (40U + 64U) / 4);
  EXPECT_EQ(last[12], 1U);  // the second interface
  EXPECT_EQ(last[23], 2U);  // outbound
}

}  // namespace
}  // namespace sluice::ctl
