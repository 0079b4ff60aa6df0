// sluicectl: shows and changes what sluiced balances. It only uses the API, so it needs no
// privileges but the right to open the socket.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <thread>

#include "sluicectl/run.hpp"

namespace {

using namespace sluice::ctl;

int print(const Outcome& outcome) {
  std::fwrite(outcome.output.data(), 1, outcome.output.size(), stdout);
  if (std::fflush(stdout) != 0) {
    std::perror("sluicectl: write the output");
    return static_cast<int>(ExitCode::failed);
  }
  if (!outcome.error.empty()) std::fprintf(stderr, "sluicectl: %s\n", outcome.error.c_str());
  return static_cast<int>(outcome.code);
}

volatile std::sig_atomic_t interrupted = 0;

bool is_interrupted() {
  static const bool listening = [] {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { interrupted = 1; });
    return true;
  }();
  return listening && interrupted != 0;
}

std::optional<std::string> ask(const std::string& question) {
  if (isatty(STDIN_FILENO) != 1) return std::nullopt;
  std::fwrite(question.data(), 1, question.size(), stdout);
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) return std::string();
  return line;
}

}  // namespace

int main(int count, char** arguments) {
  Surroundings surroundings;
  surroundings.environment = [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value ? value : "");
  };
  surroundings.connect = [](Endpoint endpoint, std::string token) {
    return make_transport(std::move(endpoint), std::move(token));
  };
  surroundings.sleep = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); };
  surroundings.show = [](const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (std::fflush(stdout) == 0) return;
    std::perror("sluicectl: write the output");
    std::exit(static_cast<int>(ExitCode::failed));
  };
  surroundings.is_interrupted = is_interrupted;
  surroundings.ask = ask;
  surroundings.is_terminal = isatty(STDOUT_FILENO) == 1;
  try {
    return print(run({arguments + 1, arguments + count}, surroundings));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluicectl: internal error: %s (please report it)\n", error.what());
    return static_cast<int>(ExitCode::failed);
  }
}
