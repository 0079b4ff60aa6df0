#include <fmt/format.h>

#include <charconv>

#include "attachment/attachment.hpp"
#include "attachment/host.hpp"
#include "attachment/look.hpp"
#include "kernel/program.hpp"
#include "options.hpp"

namespace sluice::loader {
namespace {

constexpr Help help = {
    "attach IF... | --host [options]",
    "Attaches Sluice to all of these network interfaces or to none; those that are attached\n"
    "already stay as they are.\n"
    "Says first what `sluice-loader check` would warn of.\n"
    "Loads and pins program and maps when that has not been done yet. With another --flows than "
    "before the\n"
    "flow table is resized, and keeps its connections.\n"
    "With --host the processes of this host reach its VIPs, too: their sockets are given a "
    "member's "
    "address.",
    "  sluice-loader attach eth0 eth1\n"
    "  sluice-loader attach eth0 --mode native --flows 4194304\n"
    "  sluice-loader attach eth0 --shared     # beside other XDP programs, through libxdp\n"
    "  sluice-loader attach eth0 --host       # VIPs work from this host, too\n"};

std::optional<attachment::AttachMode> parse_mode(const std::string& text) {
  if (text == "auto") return attachment::AttachMode::automatic;
  if (text == "native") return attachment::AttachMode::native;
  if (text == "generic") return attachment::AttachMode::generic;
  return std::nullopt;
}

std::optional<std::uint32_t> parse_flows(const std::string& text) {
  std::uint32_t flows = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, flows);
  if (error != std::errc() || rest != end || flows == 0 || flows > kernel::max_flows) {
    return std::nullopt;
  }
  return flows;
}

std::string describe_mode(const attachment::AttachedNic& nic) {
  std::string text = fmt::format("{} mode", to_string(nic.mode));
  if (nic.shared) {
    text += nic.dispatcher
                ? ", under libxdp's dispatcher"
                : ", alone on the NIC (no dispatcher: the kernel or libxdp can't run one)";
  }
  return text;
}

// Says before attaching what will be slower, or won't work. What can't be looked at is no reason
// not to attach.
void warn_of(const attachment::AttachRequest& request) {
  const auto looked = attachment::look_at(request.interfaces, request.pin_directory);
  if (!looked) return;
  for (const auto& one : *looked) {
    if (one.finding.verdict != attachment::Verdict::ok) fmt::print("{}\n", one.text());
  }
}

void print(const attachment::AttachReport& report, const std::string& pin_directory) {
  fmt::print("{}: {} with room for {} flows, maps use {}\n", pin_directory,
             report.loaded ? "loaded and pinned" : "already loaded", report.flow_capacity,
             human_bytes(report.map_bytes));
  if (report.flows_before) {
    fmt::print("{}: had room for {} flows; about {} connections were moved\n", pin_directory,
               *report.flows_before, report.connections_moved);
  }
  for (const auto& nic : report.nics) {
    fmt::print("{}: {} in {}\n", nic.interface,
               nic.already_attached ? "already attached" : "attached", describe_mode(nic));
    if (!nic.native_refusal.empty()) {
      fmt::print("{}: generic (slower) because native was refused: {}\n", nic.interface,
                 nic.native_refusal);
    }
    if (!nic.settings.empty()) {
      fmt::print("{}: set {}, as next-hop lookups need; detach sets it back\n", nic.interface,
                 fmt::join(nic.settings, " "));
    }
  }
}

int attach_this_host(const std::string& pin_directory,
                     std::optional<std::filesystem::path> cgroup) {
  const auto attached = attachment::attach_host(pin_directory, std::move(cgroup));
  if (!attached) return fail_with(attached.error());
  if (attached->empty()) {
    fmt::print("host: already attached\n");
  } else {
    fmt::print("host: processes of this network namespace in cgroup {} reach VIPs\n",
               attached->string());
  }
  return done;
}

}  // namespace

int run_attach(const Arguments& arguments) {
  po::options_description options("Options");
  options.add_options()("mode", po::value<std::string>()->default_value("auto")->value_name("MODE"),
                        "auto (native, else generic), native (in the driver) or generic")(
      "shared", "through libxdp's dispatcher, so that other XDP programs can run on the NIC too")(
      "flows", po::value<std::string>()->value_name("N"),
      "connections that the flow table has room for (default 1048576); a table that is in use is "
      "resized under traffic")(
      "host", "let this host's own processes (of this network namespace) connect to VIPs")(
      "cgroup", po::value<std::string>()->value_name("PATH"),
      "with --host: only processes in this cgroup (version 2); default: all");
  const auto parsed = parse(arguments, help, options, true);
  if (parsed.exit_code) return *parsed.exit_code;

  attachment::AttachRequest request;
  request.pin_directory = parsed.pin_directory();
  request.interfaces = parsed.interfaces();
  const bool host = parsed.values.count("host") > 0;
  const bool has_cgroup = parsed.values.count("cgroup") > 0;
  if (has_cgroup && !host) return fail_usage("--cgroup needs --host", "attach");
  if (request.interfaces.empty() && !host) return fail_usage("an interface is missing", "attach");
  const auto& mode_text = parsed.values["mode"].as<std::string>();
  const auto mode = parse_mode(mode_text);
  if (!mode) {
    return fail_usage("--mode '" + mode_text + "' is none of auto, native, generic", "attach");
  }
  request.mode = *mode;
  request.shared = parsed.values.count("shared") > 0;
  if (parsed.values.count("flows")) {
    const auto& text = parsed.values["flows"].as<std::string>();
    request.flows = parse_flows(text);
    if (!request.flows) {
      return fail_usage(
          fmt::format("--flows '{}' is not a number from 1 to {}", text, kernel::max_flows),
          "attach");
    }
  }
  if (!request.interfaces.empty()) {
    warn_of(request);
    const auto report = attachment::attach(request);
    if (!report) return fail_with(report.error());
    print(*report, parsed.pin_directory());
  }
  if (!host) return done;
  std::optional<std::filesystem::path> cgroup;
  if (has_cgroup) cgroup = parsed.values["cgroup"].as<std::string>();
  return attach_this_host(parsed.pin_directory(), std::move(cgroup));
}

}  // namespace sluice::loader
