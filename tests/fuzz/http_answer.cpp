// What a member answers to an HTTP probe: whatever it is, it is read to its end or refused with a
// reason, and the pieces that it comes in make no difference.
#include "health/http_answer.hpp"

#include <cstdint>
#include <string_view>

#include "expect.hpp"

namespace {

using sluice::fuzz::expect;
using sluice::health::HttpAnswer;

struct Outcome {
  bool done = false;
  std::optional<unsigned> status;

  bool operator==(const Outcome&) const = default;
};

Outcome read(bool to_head, std::string_view bytes, std::size_t piece) {
  HttpAnswer answer(to_head);
  Outcome outcome;
  while (!bytes.empty() && !outcome.done) {
    outcome.done = answer.take(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  outcome.status = answer.status();
  if (!outcome.status) expect(!answer.error().empty(), "no status has a reason");
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool to_head = (data[0] & 1) != 0;
  const std::size_t piece = 1U + data[1] % 64;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const auto whole = read(to_head, bytes, bytes.size() + 1);
  const auto in_pieces = read(to_head, bytes, piece);
  expect(whole.status == in_pieces.status || !whole.done || !in_pieces.done,
         "the pieces make no difference to the status");
  expect(!whole.status || *whole.status <= 999, "a status has three digits");
  return 0;
}
