// Run: the program without its process: arguments and environment in, text and exit code out.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "sluicectl/transport/client.hpp"
#include "sluicectl/transport/http.hpp"

namespace sluice::ctl {

enum class ExitCode { done = 0, failed = 1, usage = 2 };

// The outcome of a run. `error` is one line without a newline; on success it is empty or a note.
struct Outcome {
  ExitCode code = ExitCode::done;
  std::string output;
  std::string error;
};

// The program's environment.
struct Surroundings {
  std::function<std::string(const std::string&)> environment;  // empty for what is not set
  std::function<std::unique_ptr<Transport>(Endpoint, std::string token)> connect;
  Client::Sleep sleep;
  std::function<void(const std::string&)> show = [](const std::string&) {};  // at once, to stdout
  bool is_terminal = false;                                                  // stdout is one
  std::function<bool()> is_interrupted = [] { return false; };               // see Display
  std::function<std::optional<std::string>(const std::string&)> ask = [](const std::string&) {
    return std::optional<std::string>();
  };  // likewise
};

Outcome run(const std::vector<std::string>& arguments, const Surroundings& surroundings);

}  // namespace sluice::ctl
