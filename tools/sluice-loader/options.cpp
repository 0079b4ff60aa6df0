#include "options.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>
#include <sstream>

#include "kernel/pins.hpp"

namespace sluice::loader {
namespace {

std::string verb_of(const Help& help) {
  const std::string usage = help.usage;
  return usage.substr(0, usage.find(' '));
}

void print_help(const Help& help, const po::options_description& options) {
  std::ostringstream list;
  list << options;
  fmt::print("Usage: sluice-loader {}\n\n{}\n\n{}\nExamples:\n{}", help.usage, help.about,
             list.str(), help.examples);
}

}  // namespace

std::vector<std::string> Parsed::interfaces() const {
  return values.count("interface") ? values["interface"].as<std::vector<std::string>>()
                                   : std::vector<std::string>{};
}

Parsed parse(const Arguments& arguments, const Help& help, po::options_description options,
             bool takes_interfaces) {
  options.add_options()(
      "pin-dir",
      po::value<std::string>()->default_value(kernel::default_pin_directory)->value_name("DIR"),
      "where programs, maps and links are pinned")("help,h", "this text");
  po::options_description all = options;
  po::positional_options_description positional;
  if (takes_interfaces) {
    all.add_options()("interface", po::value<std::vector<std::string>>());
    positional.add("interface", -1);
  }
  Parsed parsed;
  try {
    po::store(
        po::command_line_parser(arguments)
            .options(all)
            .positional(positional)
            .style(po::command_line_style::default_style & ~po::command_line_style::allow_guessing)
            .run(),
        parsed.values);
    po::notify(parsed.values);
  } catch (const po::error& error) {
    parsed.exit_code = fail_usage(error.what(), verb_of(help));
    return parsed;
  }
  if (parsed.values.count("help")) {
    print_help(help, options);
    parsed.exit_code = done;
  }
  return parsed;
}

int fail_with(const Error& error) {
  fmt::print(std::cerr, "sluice-loader: {}\n", error.text());
  return failed;
}

int fail_usage(const std::string& what, const std::string& verb) {
  fmt::print(std::cerr, "sluice-loader {}: {} (see: sluice-loader {} --help)\n", verb, what, verb);
  return wrong_usage;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::uint64_t kib = 1024, mib = kib * kib;
  if (bytes >= mib) return fmt::format("{} MiB", (bytes + mib / 2) / mib);
  return fmt::format("{} KiB", (bytes + kib - 1) / kib);
}

}  // namespace sluice::loader
