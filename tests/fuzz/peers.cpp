// A datagram of another node: whatever is in it, reading it ends, what was read can be written, and
// reads the same again. What is not sealed by the fleet's key is refused.
#include "peers/datagram.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "expect.hpp"
#include "peers/session.hpp"

namespace {

using namespace sluice;
using fuzz::expect;

bool is_same(const peers::Batch& one, const peers::Batch& other) {
  return one.stream == other.stream && one.sequence == other.sequence &&
         std::ranges::equal(one.changes, other.changes, [](const auto& left, const auto& right) {
           return std::memcmp(&left.image, &right.image, sizeof left.image) == 0 &&
                  left.event == right.event;
         });
}

void write_and_read(const peers::Body& body) {
  auto written = peers::begin_body(body.to);
  if (body.name) peers::append_hello(written, *body.name);
  if (body.status) append(written, *body.status);
  if (body.acknowledgement) append(written, *body.acknowledgement);
  const auto again = peers::parse(written);
  expect(again && again->to == body.to && again->name == body.name &&
             again->status == body.status && again->acknowledgement == body.acknowledgement,
         "what was read is written as it was");
  for (const auto& batch : body.batches) {
    if (batch.changes.empty()) continue;
    peers::BatchWriter writer(batch.changes.front().image.family);
    const bool fits =
        std::ranges::all_of(batch.changes, [&](const auto& change) { return writer.add(change); });
    if (!fits) continue;
    auto alone = peers::begin_body(body.to);
    const auto part = writer.take(batch.stream, batch.sequence);
    alone.insert(alone.end(), part.begin(), part.end());
    const auto read = peers::parse(alone);
    expect(read && read->batches.size() == 1 && is_same(batch, read->batches[0]),
           "and so is a batch");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const peers::View bytes(data, size);
  if (const auto body = peers::parse(bytes)) write_and_read(*body);
  static peers::Session session(*peers::Keys::parse(std::string(64, 'a')));
  expect(!session.open(bytes), "only the fleet's key seals");
  return 0;
}
