#include "attachment/look.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "options.hpp"
#include "table.hpp"

namespace sluice::loader {
namespace {

constexpr Help help = {
    "check IF... [options]",
    "Looks at these interfaces and this host as attach does before it attaches, and changes "
    "nothing.\n"
    "Each line is ok, warn (slower, or true of some traffic only) or fail (it can't be attached, "
    "or\n"
    "nothing gets through), with the command that mends it. Fails if a line does.\n"
    "Formats: table; value; json (an array).",
    "  sluice-loader check eth0\n"
    "  sluice-loader check eth0 eth1 -f json\n"
    "  sluice-loader check eth0 -f value -c subject -c result\n"};

}  // namespace

int run_check(const Arguments& arguments) {
  po::options_description options("Options");
  options.add_options()("format,f",
                        po::value<std::string>()->default_value("table")->value_name("FORMAT"),
                        "table, value or json")(
      "column,c", po::value<std::vector<std::string>>()->value_name("COLUMN"),
      "only this column; repeatable");
  const auto parsed = parse(arguments, help, options, true);
  if (parsed.exit_code) return *parsed.exit_code;
  const auto& format = parsed.values["format"].as<std::string>();
  if (format != "table" && format != "value" && format != "json") {
    return fail_usage("-f '" + format + "' is none of table, value, json", "check");
  }
  const auto interfaces = parsed.interfaces();
  if (interfaces.empty()) return fail_usage("an interface is missing", "check");
  const auto checked = attachment::look_at(interfaces, parsed.pin_directory());
  if (!checked) return fail_with(checked.error());

  Table table{{"interface", "subject", "result", "found", "mend"}, {}};
  for (const auto& [interface, one] : *checked)
    table.rows.push_back({interface, one.subject, to_string(one.verdict), one.found, one.mend});
  const auto chosen = table.only(parsed.values.count("column")
                                     ? parsed.values["column"].as<std::vector<std::string>>()
                                     : std::vector<std::string>{});
  if (!chosen) return fail_usage(chosen.error().text(), "check");
  if (format == "json") {
    fmt::print("{}\n", chosen->as_json());
  } else {
    fmt::print("{}", format == "value" ? chosen->as_values() : chosen->as_table());
  }
  const bool fails = std::ranges::any_of(*checked, [](const attachment::Checked& one) {
    return one.finding.verdict == attachment::Verdict::fail;
  });
  return fails ? failed : done;
}

}  // namespace sluice::loader
