#include "base/uuid.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Uuid, CanonicalFormParsesAndPrintsTheSame) {
  const std::string text = "5f973af6-7d59-4f64-a0b8-df5680d1bf78";
  const auto id = parse_uuid(text);
  ASSERT_TRUE(id);
  EXPECT_EQ(to_string(*id), text);
}

TEST(Uuid, OtherFormsAreNotIds) {
  for (const auto* text :
       {"", "80_pool", "5f973af67d594f64a0b8df5680d1bf78", "{f973af6-7d59-4f64-a0b8-df5680d1bf7}",
        "5f973af6-7d59-4f64-a0b8-df5680d1bf7g", "5f973af6-7d59-4f64-a0b8-df5680d1bf78 "}) {
    EXPECT_FALSE(parse_uuid(text)) << text;
  }
}

TEST(Uuid, NewIdsAreRandomVersionFour) {
  const auto a = new_uuid(), b = new_uuid();
  EXPECT_NE(a, b);
  EXPECT_EQ(a.version(), boost::uuids::uuid::version_random_number_based);
}

}  // namespace
}  // namespace sluice
