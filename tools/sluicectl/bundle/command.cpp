#include "sluicectl/bundle/command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/fd.hpp"

namespace sluice::ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t longest_output = std::size_t{4} << 20;

// The program's path; empty if there is none. Users' PATH lacks /usr/sbin.
std::string find_program(const std::string& name) {
  const char* variable = std::getenv("PATH");
  std::string path = std::string(variable ? variable : "") + ":/usr/sbin:/usr/bin:/sbin:/bin";
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find(':', at), path.size());
    const auto candidate = path.substr(at, end - at) + "/" + name;
    if (end > at && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return {};
}

Result<pid_t> start(const std::string& program, const std::vector<std::string>& command,
                    int output) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_errno(error, "run " + program);
  return child;
}

// Reads until the program has closed its output or the time is over; false: it is over.
bool read_until(int fd, Clock::time_point deadline, std::string& output) {
  std::array<char, 65536> buffer{};
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wanted{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&wanted, 1, static_cast<int>(left)) == 0) return false;
    const auto size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return true;
    output.append(buffer.data(), static_cast<std::size_t>(size));
    if (output.size() > 2 * longest_output) output.erase(0, output.size() - longest_output);
  }
}

}  // namespace

Result<CommandResult> run_command(const std::vector<std::string>& command,
                                  std::chrono::milliseconds limit) {
  const auto program = find_program(command.front());
  if (program.empty()) return fail(ErrorKind::not_found, command.front() + " is not installed");
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const auto child = start(program, command, theirs.get());
  if (!child) return tl::unexpected(child.error());
  theirs = UniqueFd();
  CommandResult result;
  const bool done = read_until(ours.get(), Clock::now() + limit, result.output);
  if (!done) ::kill(*child, SIGKILL);
  int status = 0;
  while (::waitpid(*child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!done) {
    return fail(ErrorKind::system,
                fmt::format("{} took longer than {} s", command.front(), limit.count() / 1000));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (result.output.size() > longest_output)
    result.output.erase(0, result.output.size() - longest_output);
  return result;
}

}  // namespace sluice::ctl
