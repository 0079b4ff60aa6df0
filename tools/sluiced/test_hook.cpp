#include "test_hook.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <fstream>
#include <string>
#include <system_error>

namespace sluice::daemon {
namespace {

constexpr auto between_looks = std::chrono::milliseconds(50);

std::string word_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

}  // namespace

TestHook::TestHook(boost::asio::io_context& loop, control::Controller& controller,
                   std::filesystem::path file)
    : timer_(loop), controller_(controller), file_(std::move(file)) {
  if (file_.empty()) return;
  spdlog::warn("a test's hook is set: {} can hold back changes", file_.string());
  controller_.set_hook([this] { return last_ = read(); });
  watch();
}

control::Hook TestHook::read() const {
  const auto word = word_in(file_);
  if (word == "hold") return control::Hook::hold;
  return word == "fail" ? control::Hook::fail : control::Hook::none;
}

// Applies what was held back as soon as the hook allows it.
void TestHook::watch() {
  timer_.expires_after(between_looks);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    const auto now = read();
    if (now != last_ && now != control::Hook::hold) {
      if (auto repaired = controller_.repair_drift(); !repaired) {
        spdlog::error("catch up after the hook: {}", repaired.error().text());
      }
    }
    last_ = now;
    if (!checks_ && word_in(file_) == "check") check();
    watch();
  });
}

void TestHook::check() {
  checks_ = true;
  controller_.check_drift([this](const Result<std::vector<std::string>>& repairs) {
    if (!repairs) spdlog::error("check for drift: {}", repairs.error().text());
    checks_ = false;
    std::error_code gone_already;
    std::filesystem::remove(file_, gone_already);
  });
}

}  // namespace sluice::daemon
