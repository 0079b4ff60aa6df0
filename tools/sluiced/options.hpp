// Options: what the operator asked for, from the command line and the file that --config names
// (same names; the command line wins).
#pragma once

#include <spdlog/common.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/server/endpoints.hpp"
#include "model/networks.hpp"

namespace sluice::daemon {

enum ExitCode { done = 0, failed = 1, wrong_usage = 2 };

struct Options {
  std::filesystem::path state_directory;
  bool accept_older_state = false;  // whatever the data plane carries
  api::EndpointOptions endpoints;
  std::filesystem::path pin_directory;
  model::Networks networks;  // that addresses are taken from
  std::string project_id;    // of objects whose request names none
  std::filesystem::path hash_key_file;
  std::filesystem::path test_hook;     // empty: none
  std::optional<std::uint32_t> flows;  // unset: what is pinned, or the default
  std::vector<std::string> interfaces;
  spdlog::level::level_enum log_level = spdlog::level::info;
};

// The options; or the exit code when there is nothing to run: --help and --version have been
// printed, or what is wrong has been told on stderr.
std::variant<Options, ExitCode> parse_options(int argc, const char* const* argv);

}  // namespace sluice::daemon
