// A request's bytes as they come over the wire: the pieces that they come in make no difference to
// a request that is taken, and what is refused has an answer that is HTTP.
#include <cstdint>
#include <string>
#include <string_view>

#include "api/server/incoming_request.hpp"
#include "expect.hpp"

namespace {

using sluice::api::IncomingRequest;
using sluice::fuzz::expect;

struct Outcome {
  bool failed = false, unclear = false, whole = false;
  std::size_t taken = 0;
  std::string method, target, body;

  bool operator==(const Outcome&) const = default;
};

bool is_http(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 ") && answer.find("\r\n\r\n") != answer.npos;
}

// As a connection does: until the header is there, then until all of it is.
Outcome read(std::string_view bytes, std::size_t piece) {
  IncomingRequest incoming;
  IncomingRequest::Error error;
  Outcome outcome;
  std::size_t offered = 0;  // of those that it has not taken
  const auto step = [&] {
    offered = std::min(offered + piece, bytes.size());
    const auto taken = incoming.take(bytes.substr(0, offered), error);
    expect(taken <= offered, "no more is taken than there is");
    bytes.remove_prefix(taken);
    offered -= taken;
    outcome.taken += taken;
    return !error && (taken != 0 || offered < bytes.size());
  };
  while (!incoming.has_header()) {
    if (!step()) break;
  }
  if (!error && incoming.has_header()) {
    incoming.credentials();
    incoming.keeps_alive();
    incoming.expects_continue();
    incoming.is_large();
    if (const auto unclear = incoming.framing_problem()) {
      expect(is_http(as_http(*unclear, false)), "an unclear end has an answer");
      outcome.unclear = true;
      return outcome;
    }
    error = incoming.limit_body(IncomingRequest::Room::strangers);
    while (!error && !incoming.is_whole()) {
      if (!step()) break;
    }
  }
  outcome.failed = static_cast<bool>(error);
  if (error) {
    if (const auto answer = incoming.answer_to(error))
      expect(is_http(as_http(*answer, false)), "an error has an answer");
    outcome.taken = 0;
    return outcome;
  }
  outcome.whole = incoming.is_whole();
  if (!outcome.whole) return {};
  const auto request = incoming.request();
  outcome.method = request.method;
  outcome.target = request.target;
  outcome.body = request.body;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t piece = 1U + data[0] % 64;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = read(bytes, bytes.size() + 1);
  const auto in_pieces = read(bytes, piece);
  // How early a bad line is seen depends on what is there of those behind it.
  expect(whole == in_pieces || (!whole.whole && !in_pieces.whole), "the pieces make no difference");
  return 0;
}
