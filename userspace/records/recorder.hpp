// Recorder: a thread that takes the data plane's records of connections, and writes them to a file,
// to collectors and to syslog. The event loop never waits for it, nor it for the event loop.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/tcp_address.hpp"
#include "model/objects.hpp"
#include "records/connection.hpp"
#include "records/ipfix_collector.hpp"
#include "records/rotating_file.hpp"
#include "records/syslog.hpp"

namespace sluice::records {

// Where records come from. Used by the recorder's thread only.
class Source {
 public:
  using Take = std::function<void(std::span<const std::byte> record)>;

  virtual ~Source() = default;
  // Hands over the records that are there.
  virtual Result<void> consume(const Take& take) = 0;
  // The ids behind a record's indices; nil if nothing has them any more.
  virtual Uuid listener_id(const Connection& connection) = 0;
  virtual Uuid member_id(const Connection& connection) = 0;
  // Records that found no room since the data plane was loaded.
  virtual Result<std::uint64_t> losses() = 0;
};

// The times at which connections began, by the hash of their tuple, for the duration of those that
// end.
class Beginnings {
 public:
  // Some 50 MB. Beyond that the older half is forgotten, and ends have no duration.
  static constexpr std::size_t most = 1U << 20;

  explicit Beginnings(std::size_t limit = most) : limit_(limit) {}
  void note(std::uint64_t hash, std::uint64_t nanoseconds);
  std::optional<std::uint64_t> take(std::uint64_t hash);
  // Reads it, but keeps it.
  std::optional<std::uint64_t> find(std::uint64_t hash) const;
  std::size_t size() const { return began_.size(); }

 private:
  std::size_t limit_;
  std::unordered_map<std::uint64_t, std::uint64_t> began_;
};

class Recorder {
 public:
  struct Settings {
    std::optional<RotatingFile::Settings> file = {};
    std::vector<TcpAddress> collectors = {};  // IPFIX over UDP
    bool local_syslog = false;                // this host's
    std::vector<TcpAddress> syslogs = {};     // over UDP
    std::string host = {};                    // this node's name, for these
    std::uint32_t domain = 0;                 // this node's number for collectors
  };
  // Any thread may read them.
  struct Counts {
    std::atomic<std::uint64_t> records{0};     // taken from the data plane
    std::atomic<std::uint64_t> lost{0};        // that found no room there
    std::atomic<std::uint64_t> unwritten{0};   // that the file didn't take
    std::atomic<std::uint64_t> datagrams{0};   // sent to collectors and syslog
    std::atomic<std::uint64_t> unsent{0};      // datagrams that could not be sent
    std::atomic<std::uint64_t> file_bytes{0};  // of the present file
  };
  // Is told once of each fault, and of its end; on the recorder's thread.
  using Log = std::function<void(std::string what)>;

  // Opens what records go to. The thread begins with start().
  static Result<std::unique_ptr<Recorder>> open(const Settings& settings, Log log);
  // Writes what there still is.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void start();
  // Takes the records from here from now on.
  void read(std::unique_ptr<Source> source);
  // The names from now on.
  void name(const model::Model& model);
  const Counts& counts() const { return counts_; }

  // One round: takes what there is and writes it. The thread's, and for tests.
  void round();

 private:
  explicit Recorder(Log log) : log_(std::move(log)) {}
  void run();
  void take(std::span<const std::byte> record, std::int64_t wall_offset);
  const std::string& names_of(const Connection& connection);
  bool wants_lines() const { return file_ || !syslogs_.empty(); }
  void write_lines();
  void look_around();  // once a second
  void note_fault(const Result<void>& result, std::string& last);

  Log log_;
  Counts counts_;
  std::optional<RotatingFile> file_;
  std::vector<IpfixCollector> collectors_;
  std::vector<Syslog> syslogs_;

  std::mutex mutex_;  // guards what other threads hand over
  std::condition_variable news_;
  std::unique_ptr<Source> next_source_;
  std::optional<model::Model> next_model_;
  bool ending_ = false;

  // The thread's own.
  std::unique_ptr<Source> source_;
  model::Model model_;
  Beginnings beginnings_;
  std::unordered_map<std::uint32_t, std::string> names_;  // by listener and member, for a second
  std::string lines_;
  std::uint64_t lines_count_ = 0;
  std::int64_t wall_ = 0;  // nanoseconds since 1970, at the round's beginning
  std::chrono::steady_clock::time_point looked_around_{};
  std::string last_file_fault_, last_source_fault_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sluice::records
