#include "health/expected_codes.hpp"

#include <gtest/gtest.h>

namespace sluice::health {
namespace {

bool expects(const char* text, unsigned code) {
  const auto codes = ExpectedCodes::parse(text);
  return codes && codes->contains(code);
}

TEST(ExpectedCodes, OneCodeMeansThatCode) {
  EXPECT_TRUE(expects("200", 200));
  EXPECT_FALSE(expects("200", 201));
  EXPECT_FALSE(expects("200", 20));
}

TEST(ExpectedCodes, AListMeansAnyOfItWithOrWithoutSpaces) {
  for (const unsigned code : {200U, 202U, 301U})
    EXPECT_TRUE(expects("200,202 , 301", code)) << code;
  EXPECT_FALSE(expects("200,202 , 301", 201));
}

TEST(ExpectedCodes, ARangeIncludesBothEnds) {
  for (const unsigned code : {200U, 202U, 204U}) EXPECT_TRUE(expects("200-204", code)) << code;
  EXPECT_FALSE(expects("200-204", 199));
  EXPECT_FALSE(expects("200-204", 205));
}

TEST(ExpectedCodes, RefusesEverythingElse) {
  for (const auto* text : {"", "2xx", "20", "2000", "200-", "-204", "200-204,301", "200,", ",200",
                           "200 204", "+20", "200-204-206", " "}) {
    EXPECT_FALSE(ExpectedCodes::parse(text)) << "'" << text << "'";
  }
}

}  // namespace
}  // namespace sluice::health
