// A statement that is kept is as good as new each time.
#include "store/sqlite.hpp"

#include <gtest/gtest.h>

namespace sluice::store {
namespace {

class KeptStatementTest : public testing::Test {
 protected:
  KeptStatementTest() {
    EXPECT_TRUE(
        connection_.execute("CREATE TABLE words (word); INSERT INTO words VALUES ('a'), ('b')"));
  }
  Statement prepare(const char* sql) { return connection_.prepare_to_keep(sql).value(); }

  Connection connection_ = Connection::open(":memory:").value();
};

TEST_F(KeptStatementTest, BeginsAnewAndForgetsItsParameters) {
  constexpr const char* sql = "SELECT word, ? FROM words ORDER BY word";
  {
    auto statement = prepare(sql);
    statement.bind(0, std::string_view("told"));
    ASSERT_TRUE(statement.step().value());
    EXPECT_EQ(statement.text(1), "told");
  }
  auto again = prepare(sql);
  ASSERT_TRUE(again.step().value());
  EXPECT_EQ(again.text(0), "a");
  EXPECT_TRUE(again.is_null(1));
}

TEST_F(KeptStatementTest, LeavesNoTransactionOpen) {
  { EXPECT_TRUE(prepare("SELECT word FROM words").step().value()); }
  EXPECT_TRUE(connection_.execute("DROP TABLE words")) << "nobody reads it any more";
}

TEST_F(KeptStatementTest, TwoOfTheSameTextAreIndependent) {
  auto one = prepare("SELECT word FROM words ORDER BY word");
  auto other = prepare("SELECT word FROM words ORDER BY word");
  ASSERT_TRUE(one.step().value());
  ASSERT_TRUE(one.step().value());
  ASSERT_TRUE(other.step().value());
  EXPECT_EQ(one.text(0), "b");
  EXPECT_EQ(other.text(0), "a");
}

TEST_F(KeptStatementTest, FollowsAChangeOfTheSchema) {
  { EXPECT_TRUE(prepare("SELECT * FROM words").step().value()); }
  ASSERT_TRUE(connection_.execute("ALTER TABLE words ADD COLUMN length DEFAULT 1"));
  auto statement = prepare("SELECT * FROM words");
  ASSERT_TRUE(statement.step().value());
  EXPECT_EQ(statement.integer(1), 1);
}

}  // namespace
}  // namespace sluice::store
