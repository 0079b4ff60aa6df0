#include "records/recorder.hpp"

#include <algorithm>
#include <ctime>

#include "maps/flow.h"
#include "records/json_line.hpp"
#include "records/names.hpp"

namespace sluice::records {
namespace {

// A round's distance from the next one: what a record waits at most. At 100,000 connections per
// second 1,000 records come meanwhile.
constexpr auto between_rounds = std::chrono::milliseconds(5);
constexpr auto between_looks = std::chrono::seconds(1);
// Lines are written when there are so many bytes of them, and at the end of each round.
constexpr std::size_t lines_at_a_time = std::size_t{128} << 10;

std::int64_t nanoseconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void Beginnings::note(std::uint64_t hash, std::uint64_t nanoseconds) {
  if (began_.size() >= limit_) {
    std::vector<std::uint64_t> times;
    times.reserve(began_.size());
    for (const auto& entry : began_) times.push_back(entry.second);
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    std::erase_if(began_, [&](const auto& entry) { return entry.second <= *middle; });
  }
  began_[hash] = nanoseconds;
}

std::optional<std::uint64_t> Beginnings::find(std::uint64_t hash) const {
  const auto found = began_.find(hash);
  return found == began_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint64_t> Beginnings::take(std::uint64_t hash) {
  const auto found = find(hash);
  began_.erase(hash);
  return found;
}

Result<std::unique_ptr<Recorder>> Recorder::open(const Settings& settings, Log log) {
  std::unique_ptr<Recorder> recorder(new Recorder(std::move(log)));
  if (settings.file) {
    auto file = RotatingFile::open(*settings.file);
    if (!file) return tl::unexpected(std::move(file.error()));
    recorder->file_.emplace(std::move(*file));
  }
  for (const auto& address : settings.collectors) {
    auto collector = IpfixCollector::open(address, settings.domain);
    if (!collector) return tl::unexpected(std::move(collector.error()));
    recorder->collectors_.push_back(std::move(*collector));
  }
  if (settings.local_syslog) {
    auto syslog = Syslog::open_local();
    if (!syslog) return tl::unexpected(std::move(syslog.error()));
    recorder->syslogs_.push_back(std::move(*syslog));
  }
  for (const auto& server : settings.syslogs) {
    auto syslog = Syslog::open(server, settings.host);
    if (!syslog) return tl::unexpected(std::move(syslog.error()));
    recorder->syslogs_.push_back(std::move(*syslog));
  }
  return recorder;
}

Recorder::~Recorder() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  if (!thread_.joinable()) return;
  thread_.join();
  round();
}

void Recorder::start() {
  thread_ = std::thread([this] { run(); });
}

void Recorder::read(std::unique_ptr<Source> source) {
  const std::lock_guard lock(mutex_);
  next_source_ = std::move(source);
}

void Recorder::name(const model::Model& model) {
  const std::lock_guard lock(mutex_);
  next_model_ = model;
}

void Recorder::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    round();
    lock.lock();
    news_.wait_for(lock, between_rounds, [this] { return ending_; });
  }
}

void Recorder::round() {
  {
    const std::lock_guard lock(mutex_);
    if (next_source_) source_ = std::move(next_source_);
    if (next_model_) {
      model_ = std::move(*next_model_);
      next_model_.reset();
      names_.clear();
    }
  }
  if (!source_) return;
  wall_ = nanoseconds_of(CLOCK_REALTIME);
  const auto wall_offset = wall_ - nanoseconds_of(CLOCK_BOOTTIME);
  note_fault(source_->consume([&](auto record) { take(record, wall_offset); }), last_source_fault_);
  write_lines();
  const auto now = std::chrono::steady_clock::now();
  for (auto& collector : collectors_) collector.flush(wall_, now);
  if (now - looked_around_ < between_looks) return;
  looked_around_ = now;
  look_around();
}

void Recorder::take(std::span<const std::byte> record, std::int64_t wall_offset) {
  auto connection = decode(record);
  if (!connection) return;
  counts_.records.fetch_add(1, std::memory_order_relaxed);
  const auto hash = tuple_hash(*connection);
  if (connection->event == SLUICE_RECORD_BEGINS) {
    beginnings_.note(hash, connection->nanoseconds);
  } else if (connection->event == SLUICE_RECORD_ENDS) {
    // One whose end may be taken back is not forgotten.
    const bool is_final = connection->end != SLUICE_RECORD_CLIENT_RESET &&
                          connection->end != SLUICE_RECORD_MEMBER_RESET;
    connection->began_nanoseconds = is_final ? beginnings_.take(hash) : beginnings_.find(hash);
  }
  for (auto& collector : collectors_) collector.add(*connection, wall_offset);
  if (!wants_lines()) return;
  append_json_line(lines_, *connection, names_of(*connection), wall_offset);
  ++lines_count_;
  if (lines_.size() >= lines_at_a_time) write_lines();
}

const std::string& Recorder::names_of(const Connection& connection) {
  const auto key = connection.listener_in_bank << 14 | connection.member_index;
  const auto [found, is_new] = names_.try_emplace(key);
  if (is_new) {
    found->second =
        names_as_json(model_, source_->listener_id(connection), source_->member_id(connection));
  }
  return found->second;
}

void Recorder::write_lines() {
  if (lines_.empty()) return;
  for (auto& syslog : syslogs_) syslog.send(lines_, wall_);
  if (file_) {
    const auto wrote = file_->append(lines_);
    if (!wrote) counts_.unwritten.fetch_add(lines_count_, std::memory_order_relaxed);
    note_fault(wrote, last_file_fault_);
    counts_.file_bytes.store(file_->bytes(), std::memory_order_relaxed);
  }
  lines_.clear();
  lines_count_ = 0;
}

void Recorder::look_around() {
  names_.clear();  // an index may have gone to another object
  if (const auto lost = source_->losses()) counts_.lost.store(*lost, std::memory_order_relaxed);
  std::uint64_t datagrams = 0, unsent = 0;
  for (const auto& collector : collectors_) {
    datagrams += collector.datagrams();
    unsent += collector.failures();
  }
  for (const auto& syslog : syslogs_) {
    datagrams += syslog.messages();
    unsent += syslog.failures();
  }
  counts_.datagrams.store(datagrams, std::memory_order_relaxed);
  counts_.unsent.store(unsent, std::memory_order_relaxed);
  if (file_) note_fault(file_->look_at_path(), last_file_fault_);
}

void Recorder::note_fault(const Result<void>& result, std::string& last) {
  auto text = result ? std::string() : result.error().text();
  if (text == last) return;
  log_(text.empty() ? "records are written again" : "records are lost: " + text);
  last = std::move(text);
}

}  // namespace sluice::records
