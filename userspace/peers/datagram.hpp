// What nodes tell each other in a datagram, without its seal: bytes from values and back. Pure.
//
// A body is the salt that the receiver uses at present, and parts. Each part begins with its type,
// a zero and its length, so parts of unknown types are skipped; what follows the known attributes
// of a part, and of a record, is skipped too. All numbers are in network byte order.
//
//   hello            the sender's name
//   status           what it has sent: stream, next sequence, whether the resynchronisation lasts,
//                    whether its tables are new, whether all its own connections were told
//   acknowledgement  what it has got: stream, next sequence, how often it wants everything anew,
//                    and the ranges that are missing
//   batch            stream, sequence, family, size of a record, ids, records. A record names
//                    listener and member by the places of their ids, so that one of IPv4 takes 34
//                    bytes
//
// A sequence counts batches. A stream is a sequence from its beginning: the sender begins another
// one when it tells everything anew.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/replicas.hpp"

namespace sluice::peers {

using Bytes = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;
using Salt = std::array<std::uint8_t, 16>;

// What fits into a frame without fragments on any usual link, tunnels included.
constexpr std::size_t max_datagram = 1400;
constexpr std::size_t max_body = max_datagram - 48;  // see seal.hpp
constexpr std::size_t max_ranges = 32;
constexpr std::size_t max_name = 64;

struct Status {
  std::uint32_t stream = 0;
  std::uint64_t next = 0;     // the sequence of the batch that comes next
  bool is_walking = false;    // what it had before the stream began is still being sent
  bool has_told_own = false;  // only connections that it keeps for others are missing yet
  // Its tables have told nobody before this process: they were made anew, by a reboot for example.
  bool is_table_new = false;
  bool operator==(const Status&) const = default;
};

struct Range {
  std::uint64_t first = 0, end = 0;  // `end` is not in it
  bool operator==(const Range&) const = default;
};

struct Acknowledgement {
  std::uint32_t stream = 0;
  std::uint64_t next = 0;      // all batches before it have come
  std::uint32_t wanted = 0;    // grows when everything has to be told anew
  std::vector<Range> missing;  // at most max_ranges
  bool operator==(const Acknowledgement&) const = default;
};

struct Batch {
  std::uint32_t stream = 0;
  std::uint64_t sequence = 0;
  std::vector<dataplane::FlowChange> changes;
};

struct Body {
  Salt to{};  // zero: the sender doesn't know the receiver's
  std::optional<std::string> name = {};
  std::optional<Status> status = {};
  std::optional<Acknowledgement> acknowledgement = {};
  std::vector<Batch> batches = {};
};

// nullopt: the bytes are damaged, or of a sender that breaks the rules.
std::optional<Body> parse(View body);

// Begins a body; the parts are appended.
Bytes begin_body(const Salt& to);
void append_hello(Bytes& body, const std::string& name);
void append(Bytes& body, const Status& status);
void append(Bytes& body, const Acknowledgement& acknowledgement);

// Makes batches, each as full as a body allows that has nothing else. A batch has one IP version.
class BatchWriter {
 public:
  explicit BatchWriter(std::uint8_t family) : family_(family) {}

  // False: there is no room for it, take() must come first.
  bool add(const dataplane::FlowChange& change);
  bool is_empty() const { return records_ == 0; }
  std::size_t records() const { return records_; }
  // The batch as a part. The next one begins.
  Bytes take(std::uint32_t stream, std::uint64_t sequence);

 private:
  std::optional<std::uint8_t> place_of(const sluice_id& id);

  std::uint8_t family_;
  std::size_t records_ = 0;
  std::vector<sluice_id> ids_;
  Bytes bytes_;  // the records
};

}  // namespace sluice::peers
