// Printable text.
#include "base/printable.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Printable, WordsOfAnyLanguageStayAsTheyAre) {
  for (const auto* text : {"", "web-1", "größe", "日本語", "🙂", "a\\b", "\xc2\xa0"}) {
    EXPECT_TRUE(is_printable(text)) << text;
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, WhatMovesACursorOrEndsALineIsShownAsAnEscape) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("one\ntwo\r\t"), "one\\x0atwo\\x0d\\x09");
  EXPECT_EQ(printable(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\x9b2J")
      << "C1: one character that begins a sequence";
  EXPECT_FALSE(is_printable("a\x1b[2Jb"));
  EXPECT_FALSE(is_printable("\xc2\x9b"));
}

TEST(Printable, WhatTurnsTheDirectionOfTextIsShownAsAnEscape) {
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u202eb");
  EXPECT_EQ(printable("\xe2\x81\xa6"), "\\u2066");
  EXPECT_EQ(printable("\xe2\x80\xa8"), "\\u2028") << "a line's end, to some";
  EXPECT_FALSE(
      is_printable("a\xe2\x80\xae"
                   "b"));
}

TEST(Printable, BytesThatAreNoTextAreShownOneByOne) {
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(printable("\xc3"), "\\xc3") << "cut off";
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
  EXPECT_FALSE(is_printable("\xff"));
}

}  // namespace
}  // namespace sluice
