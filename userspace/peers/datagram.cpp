#include "peers/datagram.hpp"

#include <algorithm>
#include <boost/endian/conversion.hpp>
#include <cstring>

namespace sluice::peers {
namespace {

using dataplane::FlowChange;
using dataplane::FlowEvent;

// Types of parts. They may not change.
enum Part : std::uint8_t { hello = 1, status = 2, acknowledgement = 3, batch = 4 };

constexpr std::size_t part_head = 4;    // type, zero, length
constexpr std::size_t batch_head = 16;  // stream, sequence, family, record size, ids, zero
constexpr std::uint8_t status_walking = 1, status_table_new = 2, status_told_own = 4;
constexpr std::size_t most_ids = 255;

// A record without its addresses: ports, idle times, event, protocol, phase, flags, places of ids.
constexpr std::size_t record_tail = 8 + 4 + 4 + 2;

constexpr std::size_t address_bytes(std::uint8_t family) {
  return family == 4 ? 4 : 16;
}
constexpr std::size_t record_bytes(std::uint8_t family) {
  return 4 * address_bytes(family) + record_tail;
}

template <typename Number>
void put(Bytes& out, Number number) {
  std::uint8_t bytes[sizeof number];
  boost::endian::endian_store<Number, sizeof number, boost::endian::order::big>(bytes, number);
  out.insert(out.end(), bytes, bytes + sizeof number);
}

// Bytes that are in network byte order already.
template <typename Value>
void put_as_is(Bytes& out, const Value& value, std::size_t size = sizeof(Value)) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + size);
}

// Takes numbers off the front. Once there is too little left it gives zeros, and is not good.
class Cursor {
 public:
  explicit Cursor(View bytes) : rest_(bytes) {}

  template <typename Number>
  Number number() {
    const auto bytes = take(sizeof(Number));
    if (bytes.empty()) return 0;
    return boost::endian::endian_load<Number, sizeof(Number), boost::endian::order::big>(
        bytes.data());
  }
  template <typename Value>
  void as_is(Value& value, std::size_t size = sizeof(Value)) {
    const auto bytes = take(size);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), size);
  }
  View take(std::size_t size) {
    if (rest_.size() < size) {
      is_good_ = false;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  bool is_good() const { return is_good_; }
  std::size_t left() const { return rest_.size(); }

 private:
  View rest_;
  bool is_good_ = true;
};

// Appends a part without its length; finish_part() fills that in.
std::size_t begin_part(Bytes& out, Part type) {
  const auto at = out.size();
  put<std::uint8_t>(out, type);
  put<std::uint8_t>(out, 0);
  put<std::uint16_t>(out, 0);
  return at;
}

void finish_part(Bytes& out, std::size_t at) {
  const auto length = static_cast<std::uint16_t>(out.size() - at - part_head);
  boost::endian::store_big_u16(out.data() + at + 2, length);
}

bool read_status(Cursor part, Body& body) {
  Status read;
  read.stream = part.number<std::uint32_t>();
  read.next = part.number<std::uint64_t>();
  const auto flags = part.number<std::uint8_t>();
  read.is_walking = (flags & status_walking) != 0;
  read.is_table_new = (flags & status_table_new) != 0;
  read.has_told_own = (flags & status_told_own) != 0;
  body.status = read;
  return part.is_good();
}

bool read_acknowledgement(Cursor part, Body& body) {
  Acknowledgement read;
  read.stream = part.number<std::uint32_t>();
  read.next = part.number<std::uint64_t>();
  read.wanted = part.number<std::uint32_t>();
  const auto ranges = part.number<std::uint8_t>();
  if (ranges > max_ranges) return false;
  for (unsigned i = 0; i < ranges; ++i) {
    Range range;
    range.first = part.number<std::uint64_t>();
    range.end = part.number<std::uint64_t>();
    if (range.first >= range.end) return false;
    read.missing.push_back(range);
  }
  body.acknowledgement = std::move(read);
  return part.is_good();
}

// Reads a record of which the addresses and the rest are known. False: it names no id.
bool read_record(Cursor record, std::uint8_t family, std::span<const sluice_id> ids,
                 FlowChange& change) {
  auto& image = change.image;
  const auto size = address_bytes(family);
  image.family = family;
  record.as_is(image.client, size);
  record.as_is(image.vip, size);
  record.as_is(image.source, size);
  record.as_is(image.member, size);
  record.as_is(image.client_port);
  record.as_is(image.vip_port);
  record.as_is(image.source_port);
  record.as_is(image.member_port);
  image.client_idle = record.number<std::uint16_t>();
  image.member_idle = record.number<std::uint16_t>();
  change.event = static_cast<FlowEvent>(record.number<std::uint8_t>());
  image.protocol = record.number<std::uint8_t>();
  image.phase = record.number<std::uint8_t>();
  image.flags = record.number<std::uint8_t>();
  const auto listener = record.number<std::uint8_t>(), member = record.number<std::uint8_t>();
  if (listener >= ids.size() || member >= ids.size()) return false;
  image.listener_id = ids[listener];
  image.member_id = ids[member];
  image.listener_index = image.member_index = SLUICE_NO_INDEX;
  return true;
}

bool is_known(FlowEvent event) {
  return event == FlowEvent::begins || event == FlowEvent::ends || event == FlowEvent::refreshed ||
         event == FlowEvent::kept;
}

bool read_batch(Cursor part, Body& body) {
  Batch read;
  read.stream = part.number<std::uint32_t>();
  read.sequence = part.number<std::uint64_t>();
  const auto family = part.number<std::uint8_t>();
  const std::size_t stride = part.number<std::uint8_t>();
  const std::size_t count = part.number<std::uint8_t>();
  part.number<std::uint8_t>();
  if (!part.is_good() || (family != 4 && family != 6) || stride < record_bytes(family))
    return false;
  std::vector<sluice_id> ids(count);
  for (auto& id : ids) part.as_is(id);
  if (!part.is_good()) return false;
  while (part.left() >= stride) {
    FlowChange change{};
    if (!read_record(Cursor(part.take(stride)), family, ids, change)) return false;
    if (is_known(change.event)) read.changes.push_back(change);
  }
  body.batches.push_back(std::move(read));
  return part.left() == 0;
}

bool read_part(std::uint8_t type, Cursor part, Body& body) {
  switch (type) {
    case hello: {
      const auto name = part.take(std::min(part.left(), max_name));
      body.name = std::string(name.begin(), name.end());
      return true;
    }
    case status:
      return read_status(part, body);
    case acknowledgement:
      return read_acknowledgement(part, body);
    case batch:
      return read_batch(part, body);
    default:
      return true;  // of a newer release
  }
}

}  // namespace

std::optional<Body> parse(View bytes) {
  Cursor cursor(bytes);
  Body body;
  cursor.as_is(body.to);
  while (cursor.is_good() && cursor.left() != 0) {
    const auto type = cursor.number<std::uint8_t>();
    cursor.number<std::uint8_t>();
    const auto length = cursor.number<std::uint16_t>();
    const auto part = cursor.take(length);
    if (!cursor.is_good() || !read_part(type, Cursor(part), body)) return std::nullopt;
  }
  if (!cursor.is_good()) return std::nullopt;
  return body;
}

Bytes begin_body(const Salt& to) {
  Bytes body;
  body.reserve(max_datagram);
  put_as_is(body, to);
  return body;
}

void append_hello(Bytes& body, const std::string& name) {
  const auto at = begin_part(body, hello);
  body.insert(body.end(), name.begin(), name.begin() + std::min(name.size(), max_name));
  finish_part(body, at);
}

void append(Bytes& body, const Status& value) {
  const auto at = begin_part(body, status);
  put(body, value.stream);
  put(body, value.next);
  unsigned flags = value.is_walking ? status_walking : 0;
  if (value.is_table_new) flags |= status_table_new;
  if (value.has_told_own) flags |= status_told_own;
  put(body, static_cast<std::uint8_t>(flags));
  finish_part(body, at);
}

void append(Bytes& body, const Acknowledgement& value) {
  const auto at = begin_part(body, acknowledgement);
  put(body, value.stream);
  put(body, value.next);
  put(body, value.wanted);
  const auto ranges = std::min(value.missing.size(), max_ranges);
  put(body, static_cast<std::uint8_t>(ranges));
  for (std::size_t i = 0; i < ranges; ++i) {
    put(body, value.missing[i].first);
    put(body, value.missing[i].end);
  }
  finish_part(body, at);
}

// Most batches name few listeners and members, so a search from the front is quick.
std::optional<std::uint8_t> BatchWriter::place_of(const sluice_id& id) {
  const auto same = [&](const sluice_id& one) {
    return std::memcmp(one.bytes, id.bytes, sizeof id.bytes) == 0;
  };
  const auto found = std::ranges::find_if(ids_, same);
  const auto place = static_cast<std::size_t>(found - ids_.begin());
  if (place == most_ids) return std::nullopt;
  if (found == ids_.end()) ids_.push_back(id);
  return static_cast<std::uint8_t>(place);
}

bool BatchWriter::add(const FlowChange& change) {
  const auto& image = change.image;
  const auto ids_before = ids_.size();
  const auto listener = place_of(image.listener_id), member = place_of(image.member_id);
  const auto size = sizeof(Salt) + part_head + batch_head + ids_.size() * sizeof(sluice_id) +
                    bytes_.size() + record_bytes(family_);
  if (!listener || !member || size > max_body) {
    ids_.resize(ids_before);
    return false;
  }
  const auto address = address_bytes(family_);
  put_as_is(bytes_, image.client, address);
  put_as_is(bytes_, image.vip, address);
  put_as_is(bytes_, image.source, address);
  put_as_is(bytes_, image.member, address);
  put_as_is(bytes_, image.client_port);
  put_as_is(bytes_, image.vip_port);
  put_as_is(bytes_, image.source_port);
  put_as_is(bytes_, image.member_port);
  put<std::uint16_t>(bytes_, image.client_idle);
  put<std::uint16_t>(bytes_, image.member_idle);
  put(bytes_, static_cast<std::uint8_t>(change.event));
  put<std::uint8_t>(bytes_, image.protocol);
  put<std::uint8_t>(bytes_, image.phase);
  put<std::uint8_t>(bytes_, image.flags);
  put(bytes_, *listener);
  put(bytes_, *member);
  ++records_;
  return true;
}

Bytes BatchWriter::take(std::uint32_t stream, std::uint64_t sequence) {
  Bytes part;
  part.reserve(part_head + batch_head + ids_.size() * sizeof(sluice_id) + bytes_.size());
  const auto at = begin_part(part, batch);
  put(part, stream);
  put(part, sequence);
  put(part, family_);
  put(part, static_cast<std::uint8_t>(record_bytes(family_)));
  put(part, static_cast<std::uint8_t>(ids_.size()));
  put<std::uint8_t>(part, 0);
  for (const auto& id : ids_) put_as_is(part, id);
  part.insert(part.end(), bytes_.begin(), bytes_.end());
  finish_part(part, at);
  ids_.clear();
  bytes_.clear();
  records_ = 0;
  return part;
}

}  // namespace sluice::peers
