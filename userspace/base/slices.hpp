// Slices: does long work on an event loop a part per turn, so that nobody waits long for a turn.
//
// Its measure is wall time, because others wait for that: some operations of the kernel take little
// CPU time and sleep for milliseconds. On a busy machine there are more slices for the same work.
#pragma once

#include <chrono>
#include <functional>

namespace sluice {

class Slices {
 public:
  // Makes the event loop run a function in a later turn.
  using Later = std::function<void(std::function<void()>)>;
  // Does a part of the work that can't be divided; returns whether everything is done.
  using Step = std::function<bool()>;

  // Without this call there are no slices: all work is done within the call of run().
  void set(Later later, std::chrono::nanoseconds longest) {
    later_ = std::move(later);
    longest_ = longest;
  }

  // Calls `step` until it returns true, and then `then`. When a slice is over, the rest is done in
  // later turns. Work that `then` begins goes on in the same slice. This object must outlive all
  // of it.
  void run(const Step& step, const std::function<void()>& then);

 private:
  bool is_over() const;
  void go_on(const std::function<void()>& work);

  Later later_;
  std::chrono::nanoseconds longest_{};
  std::chrono::nanoseconds begin_{};  // of the present slice, by the steady clock
  bool inside_ = false;               // within a slice
};

}  // namespace sluice
