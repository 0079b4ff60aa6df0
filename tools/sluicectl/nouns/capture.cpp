// sluicectl capture: writes packets and their reasons into a file for Wireshark.
#include <fmt/format.h>

#include <boost/algorithm/hex.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>

#include "base/version.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/nouns/crud.hpp"
#include "sluicectl/output/pcapng.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

constexpr auto between_looks = std::chrono::milliseconds(200);

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

template <typename Number>
Number number_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_number() ? value->to_number<Number>() : Number{};
}

CapturedFrame read_frame(const json::object& packet) {
  CapturedFrame frame;
  frame.nanoseconds = number_of<std::uint64_t>(packet, "nanoseconds");
  frame.interface = text_of(packet, "interface");
  frame.outbound = text_of(packet, "direction") == "out";
  frame.length = number_of<std::uint32_t>(packet, "length");
  boost::algorithm::unhex(text_of(packet, "frame"), std::back_inserter(frame.bytes));
  frame.comment = text_of(packet, "reason") + " (" + text_of(packet, "verdict") + ")";
  return frame;
}

// The totals that are printed at the end.
struct Tally {
  std::int64_t packets = 0, frames = 0, lost = 0;
};

// The limits of a capture. Zero: none.
struct End {
  std::int64_t packets = 0;
  std::chrono::seconds time{};
};

Result<End> read_end(const Call& call) {
  const auto count = positive(call, "count", 0);
  if (!count) return tl::unexpected(count.error());
  const auto seconds = positive(call, "seconds", 0);
  if (!seconds) return tl::unexpected(seconds.error());
  return End{*count, std::chrono::seconds(*seconds)};
}

// Fetches packets once; returns true if there are more already.
Result<bool> take(const Call& call, const std::string& path, const End& end, PcapngWriter& file,
                  Tally& tally) {
  const auto answer = call.client.request("GET", path + "/packets");
  if (!answer) return tl::unexpected(answer.error());
  const auto* body = answer->if_object();
  const auto* packets = body ? body->if_contains("packets") : nullptr;
  if (!packets || !packets->is_array())
    return fail(ErrorKind::internal, "the answer to GET " + path + "/packets has no 'packets'");
  tally.lost = number_of<std::int64_t>(*body, "lost");
  for (const auto& packet : packets->get_array()) {
    const auto frame = read_frame(packet.is_object() ? packet.get_object() : json::object());
    if (!frame.outbound && end.packets != 0 && tally.packets == end.packets) return false;
    file.write(frame);
    ++tally.frames;
    if (!frame.outbound) ++tally.packets;
  }
  const auto* more = body->if_contains("more");
  return more && more->is_bool() && more->get_bool();
}

// Captures until something ends it, and writes to the file meanwhile.
Result<Tally> follow(const Call& call, const std::string& path, const End& end) {
  const auto name = call.invocation.value("write");
  std::ofstream stream(name, std::ios::binary | std::ios::trunc);
  if (!stream) return fail_errno(errno, "write " + name);
  PcapngWriter file(stream, fmt::format("sluicectl {}", version));
  Tally tally;
  const auto began = Clock::now();
  for (;;) {
    const bool last = call.display.is_interrupted() ||
                      (end.time.count() != 0 && Clock::now() - began >= end.time);
    const auto more = take(call, path, end, file, tally);
    if (!more) return tl::unexpected(more.error());
    // The file is flushed, because somebody may read it meanwhile.
    if (!stream.flush()) return fail_errno(errno, "write " + name);
    if (end.packets != 0 && tally.packets >= end.packets) return tally;
    if (*more) continue;
    if (last) return tally;
    call.display.sleep(between_looks);
  }
}

Result<Answer> capture(const Call& call) {
  const auto end = read_end(call);
  if (!end) return tl::unexpected(end.error());
  const auto filter = attributes(call, {});
  if (!filter) return tl::unexpected(filter.error());
  const auto started = call.client.send("POST", "/v1/captures", "capture", *filter);
  if (!started) return tl::unexpected(about("capture", started.error()));
  const auto path = "/v1/captures/" + text_of(*started, "id");
  call.display.is_interrupted();  // from now on
  const auto tally = follow(call, path, *end);
  const auto stopped = call.client.request("DELETE", path);
  if (!tally) return tl::unexpected(about("capture", tally.error()));
  if (!stopped) return tl::unexpected(about("end the capture", stopped.error()));
  Resource shape;
  shape.rows = call.verb.columns;
  return to_record({{"packets", tally->packets},
                    {"frames", tally->frames},
                    {"lost", tally->lost},
                    {"file", call.invocation.value("write")}},
                   shape);
}

Noun make_noun() {
  Noun noun{.name = "capture", .summary = "packets with what became of them, for Wireshark"};
  noun.verbs = {
      {.summary = "writes packets as they come in and as they leave, each with its reason as "
                  "comment, until Ctrl-C",
       .options = {mandatory(option(Kind::local, "write", "FILE", "the file (pcapng)")),
                   option(Kind::text, "address", "ADDRESS[/BITS]",
                          "only packets from or to there, as they come in"),
                   option(Kind::integer, "port", "PORT", "only packets from or to this port"),
                   option(Kind::list, "reason", "REASON",
                          "only these: a reason of 'drops', or drop, pass, forward or answer for "
                          "all of that verdict (repeat for more)",
                          "reasons"),
                   option(Kind::integer, "every", "N", "one packet in N (default 1)"),
                   option(Kind::integer, "bytes", "N", "of each frame at most (default 256)"),
                   option(Kind::local, "count", "N", "end after this number of packets"),
                   option(Kind::local, "seconds", "N", "end after that time")},
       .output = Output::record,
       .columns = {"packets", "frames", "lost", "file"},
       .run = capture,
       .examples = {"sluicectl capture -w all.pcap --seconds 10",
                    "sluicectl capture -w drops.pcap --reason drop --address 192.0.2.0/24",
                    "sluicectl capture -w sample.pcap --every 1000 --port 443"}}};
  return noun;
}

}  // namespace

const Noun& capture_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
