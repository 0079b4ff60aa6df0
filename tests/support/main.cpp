// main() of every GoogleTest binary of the suite.
//
// Each case that skips itself gets a line, "not run: CASE: the missing thing", which scripts/test
// repeats at its end. The exit code is 77 if all cases skipped themselves, which ctest takes for
// "skipped"; if some passed, it is a success.
#include <gmock/gmock.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int skipped_exit_code = 77;

class Skips final : public testing::EmptyTestEventListener {
 public:
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.type() != testing::TestPartResult::kSkip) return;
    reason_ = result.message();
    constexpr std::string_view head = "Skipped\n";
    if (reason_.starts_with(head)) reason_.erase(0, head.size());
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    if (test.result()->Skipped()) {
      skipped_.push_back(std::string(test.test_suite_name()) + "." + test.name() + ": " + reason_);
    }
    reason_.clear();
  }
  void OnTestProgramEnd(const testing::UnitTest&) override {
    for (const auto& line : skipped_) std::printf("not run: %s\n", line.c_str());
  }

 private:
  std::string reason_;
  std::vector<std::string> skipped_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  auto& suite = *testing::UnitTest::GetInstance();
  suite.listeners().Append(new Skips);
  const int failed = RUN_ALL_TESTS();
  if (failed != 0) return failed;
  // A filter that matches nothing has tested nothing.
  const bool listed = GTEST_FLAG_GET(list_tests);
  if (!listed && suite.test_to_run_count() == 0) {
    std::fprintf(stderr, "no case has a name that fits --gtest_filter=%s\n",
                 GTEST_FLAG_GET(filter).c_str());
    return 1;
  }
  return !listed && suite.skipped_test_count() == suite.test_to_run_count() ? skipped_exit_code : 0;
}
