// Feed: the body of an answer that goes on while its connection lasts, for server-sent events. One
// side sends texts, which many feeds may share; the connection takes them one by one.
//
// A reader that is too slow ends its feed instead of filling our memory. Its browser comes again
// and begins anew.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace sluice::api {

class Feed {
 public:
  using Text = std::shared_ptr<const std::string>;
  // A reader may be behind by so many texts.
  static constexpr std::size_t most_waiting = 8;

  void send(Text text) {
    if (over_) return;
    if (waiting_.size() == most_waiting) return end();
    waiting_.push_back(std::move(text));
    ring();
  }
  // Ends the feed, from either side.
  void end() {
    over_ = true;
    waiting_.clear();
    ring();
  }
  bool is_over() const { return over_; }

  // The connection's side: the next text, or null; and what to call when there is news.
  Text take() {
    if (waiting_.empty()) return nullptr;
    auto text = std::move(waiting_.front());
    waiting_.pop_front();
    return text;
  }
  void on_news(std::function<void()> bell) { bell_ = std::move(bell); }

 private:
  void ring() {
    if (bell_) bell_();
  }

  std::deque<Text> waiting_;
  std::function<void()> bell_;
  bool over_ = false;
};

}  // namespace sluice::api
