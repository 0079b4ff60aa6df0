// The recorder writes what its source has, with names and durations.
#include "records/recorder.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/json/parse.hpp>
#include <fstream>

#include "example.hpp"

namespace sluice::records {
namespace {

namespace fs = std::filesystem;

// A source that tests put records into.
class Fake : public Source {
 public:
  std::vector<std::vector<std::byte>> waiting;
  std::uint64_t lost = 0;
  Uuid listener{}, member{};

  template <typename Record>
  void add(const Record& record) {
    const auto bytes = bytes_of(record);
    waiting.emplace_back(bytes.begin(), bytes.end());
  }
  Result<void> consume(const Take& take) override {
    for (const auto& record : waiting) take(record);
    waiting.clear();
    return {};
  }
  Uuid listener_id(const Connection&) override { return listener; }
  Uuid member_id(const Connection&) override { return member; }
  Result<std::uint64_t> losses() override { return lost; }
};

class Recording : public ::testing::Test {
 protected:
  Recording() {
    char name[] = "/tmp/sluice-recorder-XXXXXX";
    directory_ = mkdtemp(name);
    open({.file = RotatingFile::Settings{.path = path(), .max_bytes = 1U << 20, .keep = 1}});
  }
  ~Recording() override {
    recorder_.reset();
    fs::remove_all(directory_);
  }
  fs::path path() const { return directory_ / "connections.json"; }
  void open(const Recorder::Settings& settings) {
    auto recorder =
        Recorder::open(settings, [this](std::string what) { log_.push_back(std::move(what)); });
    ASSERT_TRUE(recorder) << recorder.error().text();
    recorder_ = std::move(*recorder);
    auto source = std::make_unique<Fake>();
    source_ = source.get();
    recorder_->read(std::move(source));
  }
  std::vector<boost::json::object> lines() const {
    std::vector<boost::json::object> result;
    std::ifstream file(path());
    for (std::string line; std::getline(file, line);)
      result.push_back(boost::json::parse(line).as_object());
    return result;
  }
  fs::path directory_;
  std::vector<std::string> log_;
  Fake* source_ = nullptr;
  std::unique_ptr<Recorder> recorder_;
};

TEST_F(Recording, AnEndHasTheDurationSinceTheBeginning) {
  source_->add(record4(SLUICE_RECORD_BEGINS));
  recorder_->round();
  auto end = record4(SLUICE_RECORD_ENDS, SLUICE_RECORD_FINISHED);
  end.head.nanoseconds += 3'000'000;
  source_->add(end);
  source_->add(end);  // of another connection, whose beginning nobody has seen
  recorder_->round();
  const auto written = lines();
  ASSERT_EQ(written.size(), 3U);
  EXPECT_EQ(written[0].at("event"), "begin");
  EXPECT_EQ(written[1].at("duration_us"), 3000);
  EXPECT_FALSE(written[2].contains("duration_us"));
  EXPECT_EQ(recorder_->counts().records, 3U);
  EXPECT_TRUE(log_.empty());
}

TEST_F(Recording, AnEndThatWasTakenBackCountsFromTheBeginning) {
  source_->add(record6(SLUICE_RECORD_BEGINS));
  source_->add(record6(SLUICE_RECORD_ENDS, SLUICE_RECORD_CLIENT_RESET));
  source_->add(record6(SLUICE_RECORD_RESUMES));
  auto end = record6(SLUICE_RECORD_ENDS, SLUICE_RECORD_FINISHED);
  end.head.nanoseconds += 5'000'000;
  source_->add(end);
  recorder_->round();
  ASSERT_EQ(lines().size(), 4U);
  EXPECT_EQ(lines()[2].at("event"), "resume");
  EXPECT_EQ(lines()[3].at("duration_us"), 5000);
}

TEST_F(Recording, NamesFollowTheModel) {
  model::Model model;
  model::Listener listener;
  listener.id = source_->listener = new_uuid();
  listener.name = "web";
  model.listeners.put(listener);
  recorder_->name(model);
  source_->add(record4(SLUICE_RECORD_BEGINS));
  recorder_->round();
  listener.name = "renamed";
  model.listeners.put(listener);
  recorder_->name(model);
  source_->add(record4(SLUICE_RECORD_BEGINS));
  recorder_->round();
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_EQ(lines()[0].at("listener"), "web");
  EXPECT_EQ(lines()[1].at("listener"), "renamed");
}

TEST_F(Recording, AFileThatTakesNothingIsToldOnceAndCounted) {
  fs::remove(path());
  fs::create_directory(path());
  source_->lost = 7;
  for (int i = 0; i < 3; ++i) {
    source_->add(record4(SLUICE_RECORD_BEGINS));
    recorder_->round();  // the first one still has the old file
  }
  EXPECT_EQ(recorder_->counts().unwritten, 2U);
  EXPECT_EQ(recorder_->counts().lost, 7U);
  ASSERT_EQ(log_.size(), 1U);
  fs::remove(path());
  source_->add(record4(SLUICE_RECORD_BEGINS));
  recorder_->round();
  EXPECT_EQ(lines().size(), 1U);
  ASSERT_EQ(log_.size(), 2U);
  EXPECT_EQ(log_[1], "records are written again");
}

TEST_F(Recording, WhatIsThereAtTheEndIsWritten) {
  recorder_->start();
  recorder_.reset();
  auto recorder = Recorder::open(
      {.file = RotatingFile::Settings{.path = path(), .max_bytes = 1U << 20, .keep = 1}},
      [](const std::string&) {});
  ASSERT_TRUE(recorder);
  auto source = std::make_unique<Fake>();
  for (int i = 0; i < 2000; ++i) source->add(record4(SLUICE_RECORD_BEGINS));
  (*recorder)->start();
  (*recorder)->read(std::move(source));
  recorder->reset();
  EXPECT_EQ(lines().size(), 2000U);
}

TEST(Beginnings, TheOlderHalfIsForgottenWhenThereAreTooMany) {
  Beginnings beginnings(100);
  for (std::uint64_t i = 0; i < 101; ++i) beginnings.note(i, i);
  EXPECT_LE(beginnings.size(), 51U);
  EXPECT_FALSE(beginnings.take(0));
  EXPECT_EQ(beginnings.take(100), 100U);
  EXPECT_FALSE(beginnings.take(100));
}

}  // namespace
}  // namespace sluice::records
