#include "attachment/status.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "options.hpp"
#include "table.hpp"

namespace sluice::loader {
namespace {

constexpr Help help = {
    "status [options]",
    "Shows the interfaces that Sluice is attached to, their programs, and the "
    "maps with their fill.\n"
    "Formats: table; json (one object with \"interfaces\", \"maps\" and \"host\"); value "
    "(the interfaces, a line each).",
    "  sluice-loader status\n"
    "  sluice-loader status -f value -c interface -c mode\n"
    "  sluice-loader status -f json\n"};

std::string mode_text(const attachment::Attachment& nic) {
  if (nic.shared) {
    if (nic.index == 0) return "(interface gone)";
    if (!nic.here) return "(taken off by another tool)";
    return fmt::format("{}, {}", to_string(nic.mode), nic.dispatcher ? "dispatcher" : "shared");
  }
  if (nic.index == 0) return "(interface gone)";
  if (!nic.here) return "(another network namespace)";
  return to_string(nic.mode);
}

Table interfaces(const attachment::Status& status) {
  Table table{{"interface", "index", "mode", "link", "program", "name", "tag", "loaded"}, {}};
  for (const auto& [nic, program] : status.nics) {
    const auto seconds = std::chrono::time_point_cast<std::chrono::seconds>(program.loaded_at);
    table.rows.push_back({nic.interface, nic.index ? std::to_string(nic.index) : "-",
                          mode_text(nic), nic.link_id ? std::to_string(nic.link_id) : "-",
                          std::to_string(program.id), program.name, program.tag,
                          fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds))});
  }
  return table;
}

Table maps(const attachment::Status& status) {
  Table table{{"map", "type", "capacity", "used", "memory"}, {}};
  for (const auto& map : status.maps) {
    table.rows.push_back({map.name, map.type, std::to_string(map.capacity),
                          map.used ? std::to_string(*map.used) : "-", human_bytes(map.bytes)});
  }
  return table;
}

// Nothing where --host was not asked for.
std::string about_host(const attachment::Status& status) {
  if (!status.host) return "";
  return fmt::format(
      "host: {} connections and UDP sessions of this host's own processes were led to members, {} "
      "refused\n",
      status.host->connected, status.host->refused);
}

std::string host_json(const attachment::Status& status) {
  if (!status.host) return "null";
  return fmt::format("{{\"connected\": {}, \"refused\": {}}}", status.host->connected,
                     status.host->refused);
}

}  // namespace

int run_status(const Arguments& arguments) {
  po::options_description options("Options");
  options.add_options()("format,f",
                        po::value<std::string>()->default_value("table")->value_name("FORMAT"),
                        "table, value or json")(
      "column,c", po::value<std::vector<std::string>>()->value_name("COLUMN"),
      "only this column of the interfaces, without the maps; repeatable");
  const auto parsed = parse(arguments, help, options, false);
  if (parsed.exit_code) return *parsed.exit_code;
  const auto& format = parsed.values["format"].as<std::string>();
  if (format != "table" && format != "value" && format != "json") {
    return fail_usage("-f '" + format + "' is none of table, value, json", "status");
  }
  const auto chosen = parsed.values.count("column")
                          ? parsed.values["column"].as<std::vector<std::string>>()
                          : std::vector<std::string>{};

  const auto status = attachment::status(parsed.pin_directory());
  if (!status) return fail_with(status.error());
  const auto nics = interfaces(*status).only(chosen);
  if (!nics) return fail_usage(nics.error().text(), "status");

  if (format == "value") {
    fmt::print("{}", nics->as_values());
  } else if (format == "json" && chosen.empty()) {
    fmt::print("{{\"interfaces\": {},\n\"maps\": {},\n\"host\": {}}}\n", nics->as_json(),
               maps(*status).as_json(), host_json(*status));
  } else if (format == "json") {
    fmt::print("{}\n", nics->as_json());
  } else {
    fmt::print("{}", nics->as_table());
    if (chosen.empty()) fmt::print("{}{}", maps(*status).as_table(), about_host(*status));
  }
  return done;
}

}  // namespace sluice::loader
