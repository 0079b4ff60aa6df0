#include "store/writer.hpp"

#include <utility>

namespace sluice::store {

void WriterThread::commit(Commit commit, Done done) {
  worker_.run([this, commit = std::move(commit), done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.commit(commit)] { done(outcome); };
  });
}

void WriterThread::load(LoadDone done) {
  worker_.run([this, done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.load()] { done(outcome); };
  });
}

void WriterThread::events(model::EventQuery query, EventsDone done) {
  worker_.run([this, query = std::move(query), done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.events(query)] { done(outcome); };
  });
}

void WriterThread::back_up(BackUpDone done) {
  worker_.run([this, done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.back_up()] { done(outcome); };
  });
}

void WriterThread::read_backup(std::string file, ReadDone done) {
  worker_.run([this, file = std::move(file), done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.read_backup(file)] { done(outcome); };
  });
}

bool WriterThread::finish(const std::function<void()>& close, std::chrono::milliseconds patience) {
  worker_.run([close]() -> std::function<void()> {
    close();
    return {};
  });
  return worker_.is_done_within(patience);
}

}  // namespace sluice::store
