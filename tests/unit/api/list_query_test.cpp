// Pages: what a page costs depends on its length, not on the list's.
#include "api/language/list_query.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <numeric>

namespace sluice::api {
namespace {

constexpr std::size_t length = 10'000;

class PickedPages : public testing::Test {
 protected:
  // The places on the page of a list of that length, whose ids are their places.
  std::vector<std::size_t> page(const Query& query) {
    const auto sample = boost::json::parse(R"({"id": "0"})").as_object();
    const auto parsed = ListQuery::parse(query, sample);
    EXPECT_TRUE(parsed);
    asked_ = 0;
    const auto picked = parsed->pick(
        length, [](const std::string& id) { return std::optional<std::size_t>(std::stoul(id)); },
        [this](std::size_t place) {
          ++asked_;
          return shows_all_ || place % 2 == 0;
        });
    EXPECT_TRUE(picked);
    return picked.value_or(std::vector<std::size_t>{});
  }

  using Places = std::vector<std::size_t>;
  std::size_t asked_ = 0;
  bool shows_all_ = true;
};

TEST_F(PickedPages, OnlyWhatIsOnAPageIsLookedAt) {
  EXPECT_EQ(page({{"limit", "3"}}), (Places{0, 1, 2}));
  EXPECT_EQ(asked_, 3U);
  EXPECT_EQ(page({{"limit", "3"}, {"marker", "5000"}}), (Places{5001, 5002, 5003}));
  EXPECT_EQ(asked_, 3U);
  EXPECT_EQ(page({{"limit", "3"}, {"marker", "9997"}}), (Places{9998, 9999}));
  EXPECT_EQ(page({{"limit", "3"}, {"marker", "5000"}, {"page_reverse", "True"}}),
            (Places{4997, 4998, 4999}));
  EXPECT_EQ(asked_, 3U);
  EXPECT_EQ(page({{"limit", "3"}, {"marker", "2"}, {"page_reverse", "True"}}), (Places{0, 1}));
}

TEST_F(PickedPages, ObjectsOfOtherProjectsDoNotCount) {
  shows_all_ = false;
  EXPECT_EQ(page({{"limit", "3"}, {"marker", "10"}}), (Places{12, 14, 16}));
  EXPECT_EQ(page({{"limit", "3"}, {"marker", "10"}, {"page_reverse", "True"}}), (Places{4, 6, 8}));
}

TEST_F(PickedPages, WithoutALimitAllAreOnThePage) {
  Places all(length);
  std::iota(all.begin(), all.end(), std::size_t{0});
  EXPECT_EQ(page({}), all);
}

}  // namespace
}  // namespace sluice::api
