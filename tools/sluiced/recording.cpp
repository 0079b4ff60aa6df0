#include "recording.hpp"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <string_view>

#include "dataplane/record_source.hpp"

namespace sluice::daemon {
namespace {

// This node's number for collectors: a hash (FNV-1a) of its name, so that it is the same after a
// restart.
std::uint32_t domain_of(std::string_view node) {
  std::uint32_t hash = 2166136261U;
  for (const char c : node) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash == 0 ? 1 : hash;  // 0 is for exporters with several (RFC 7011, 3.1)
}

}  // namespace

Result<Recording> Recording::open(boost::asio::io_context& loop, const Options& options) {
  const auto& wanted = options.records;
  Recording recording(wanted.is_wanted() ? wanted.one_of : 0);
  if (!wanted.is_wanted()) return recording;
  records::Recorder::Settings settings{.file = {},
                                       .collectors = wanted.collectors,
                                       .local_syslog = wanted.local_syslog,
                                       .syslogs = wanted.syslogs,
                                       .host = options.node,
                                       .domain = domain_of(options.node)};
  if (!wanted.file.empty()) {
    settings.file = {.path = wanted.file, .max_bytes = wanted.max_bytes, .keep = wanted.keep};
  }
  auto recorder = records::Recorder::open(settings, [&loop](std::string what) {
    boost::asio::post(loop, [what = std::move(what)] { spdlog::warn("{}", what); });
  });
  if (!recorder) return tl::unexpected(std::move(recorder.error()));
  recording.recorder_ = std::move(*recorder);
  return recording;
}

void Recording::follow(dataplane::BpfDataPlane& data_plane) {
  if (auto set = data_plane.record_one_of(one_of_); !set)
    return spdlog::error("record connections: {}", set.error().text());
  if (!recorder_) return;
  auto source = dataplane::open_records(data_plane.program());
  if (!source) return spdlog::error("record connections: {}", source.error().text());
  recorder_->read(std::move(*source));
}

void Recording::start(control::Controller& controller) {
  if (!recorder_) return;
  recorder_->name(controller.model());
  controller.on_change([this, &controller] { recorder_->name(controller.model()); });
  recorder_->start();
}

}  // namespace sluice::daemon
