#include "base/slices.hpp"

#include <utility>

namespace sluice {

bool Slices::is_over() const {
  return later_ && std::chrono::steady_clock::now().time_since_epoch() - begin_ >= longest_;
}

void Slices::go_on(const std::function<void()>& work) {
  const bool outermost = !std::exchange(inside_, true);
  if (outermost && later_) begin_ = std::chrono::steady_clock::now().time_since_epoch();
  work();
  if (outermost) inside_ = false;
}

void Slices::run(const Step& step, const std::function<void()>& then) {
  go_on([&] {
    bool done = step();
    while (!done && !is_over()) done = step();
    if (!done) {
      later_([this, step, then] { run(step, then); });
    } else if (is_over()) {
      later_([this, then] { go_on(then); });
    } else {
      then();
    }
  });
}

}  // namespace sluice
