// Captured packets, in Sluice's own part of the API:
//
//   POST /v1/captures {"capture": {"address": "192.0.2.0/24", "port": 80, "reasons": ["drop"],
//                                  "every": 1, "bytes": 256}}        every one may be left out
//   GET /v1/captures/ID/packets?limit=1000    what has come since the last time
//   DELETE /v1/captures/ID
//
// There is at most one capture, and it ends by itself when nobody has asked for packets for ten
// seconds.
#include <fmt/format.h>

#include <boost/algorithm/hex.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <iterator>

#include "api/handlers/handlers.hpp"
#include "api/language/attributes.hpp"
#include "api/language/fault.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

constexpr std::size_t default_limit = 1000;
constexpr std::size_t highest_limit = 1000;
constexpr model::Range every_range{1, 1'000'000'000};
constexpr model::Range bytes_range{64, control::longest_captured_frame};

void read_network(Attributes& in, std::optional<IpNetwork>& out) {
  std::optional<std::string> text;
  in.optional_text("address", text);
  if (!text) return;
  const auto network = parse_ip_network(*text);
  if (!network) return in.refuse(invalid_input("address", *text, network.error().message));
  out = *network;
}

Result<control::CaptureFilter> read_filter(const Request& request) {
  const auto object = unwrap(request, "capture_", "capture");
  if (!object) return tl::unexpected(object.error());
  control::CaptureFilter filter;
  Attributes in(*object, Purpose::create, "capture_.capture");
  read_network(in, filter.network);
  in.integer("port", filter.port, model::port_range, std::uint16_t{0});
  in.tags("reasons", filter.reasons);
  in.integer("every", filter.every, every_range, 1U);
  in.integer("bytes", filter.bytes, bytes_range, std::uint16_t{256});
  if (auto read = in.finish(); !read) return tl::unexpected(read.error());
  return filter;
}

Result<std::size_t> read_limit(const Call& call) {
  std::size_t limit = default_limit;
  for (const auto& [key, value] : call.query) {
    const auto* end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, limit);
    if (key == "limit" && error == std::errc() && rest == end && limit >= 1 &&
        limit <= highest_limit)
      continue;
    return fail(ErrorKind::invalid,
                fmt::format("Packets are taken with limit (1 to {}), not {}='{}'.", highest_limit,
                            key, value));
  }
  return limit;
}

Result<Uuid> read_id(const Call& call) {
  const auto id = parse_uuid(call.ids[0]);
  if (id) return *id;
  return fail(ErrorKind::not_found, "Capture " + call.ids[0] + " could not be found.");
}

json::object render(const control::CapturedFrame& frame) {
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::nanoseconds>(frame.time.time_since_epoch());
  std::string bytes;
  boost::algorithm::hex_lower(frame.bytes.begin(), frame.bytes.end(), std::back_inserter(bytes));
  return {{"nanoseconds", since_epoch.count()},
          {"interface", frame.interface},
          {"direction", frame.departure ? "out" : "in"},
          {"reason", frame.reason},
          {"verdict", frame.verdict},
          {"length", frame.length},
          {"frame", std::move(bytes)}};
}

}  // namespace

Result<Reply> start_capture(const Call& call) {
  auto filter = read_filter(call.request);
  if (!filter) return tl::unexpected(filter.error());
  return looking_on([filter = std::move(*filter),
                     asker = call.request.asker](control::Inspection& data_plane) -> Result<Reply> {
    const auto id = data_plane.start_capture(filter);
    if (!id) return tl::unexpected(id.error());
    if (asker.is_gone()) (void)data_plane.stop_capture(*id);  // nobody will
    return Reply{201, json::object{{"capture", json::object{{"id", to_string(*id)}}}}};
  });
}

Result<Reply> take_captured(const Call& call) {
  const auto id = read_id(call);
  if (!id) return tl::unexpected(id.error());
  const auto limit = read_limit(call);
  if (!limit) return tl::unexpected(limit.error());
  return looking_on([id = *id, limit = *limit](control::Inspection& data_plane) -> Result<Reply> {
    const auto captured = data_plane.take_captured(id, limit);
    if (!captured) return tl::unexpected(captured.error());
    json::array packets;
    for (const auto& frame : captured->frames) packets.push_back(render(frame));
    return Reply{200, json::object{{"packets", std::move(packets)},
                                   {"more", captured->more},
                                   {"lost", captured->lost}}};
  });
}

Result<Reply> stop_capture(const Call& call) {
  const auto id = read_id(call);
  if (!id) return tl::unexpected(id.error());
  return looking_on([id = *id](control::Inspection& data_plane) -> Result<Reply> {
    if (auto stopped = data_plane.stop_capture(id); !stopped)
      return tl::unexpected(stopped.error());
    return Reply{204, std::nullopt};
  });
}

}  // namespace sluice::api
