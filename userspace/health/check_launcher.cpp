#include "health/check_launcher.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <list>
#include <vector>

#include "health/check_message.hpp"

namespace sluice::health {
namespace {

using Clock = std::chrono::steady_clock;

// The daemon stops a program when its time is over. If that message is late, the launcher does.
constexpr auto grace = std::chrono::seconds(2);
// Orphans of running programs are looked for so often.
constexpr auto between_sweeps = std::chrono::seconds(1);

// Of the check user's processes, and of each program.
constexpr rlim_t most_processes_per_check = 16;
constexpr rlim_t most_descriptors = 256;
constexpr rlim_t largest_file = 1 << 20;

struct Running {
  CheckRequest request{};
  pid_t pid = 0;
  unsigned slot = 0;  // of its error
  UniqueFd output;
  Clock::time_point kill_at;
  std::string text;
  std::size_t written = 0;
  bool flooded = false;
};

std::vector<pid_t> children() {
  std::ifstream list("/proc/thread-self/children");
  std::vector<pid_t> result;
  for (pid_t pid = 0; list >> pid;) result.push_back(pid);
  return result;
}

// Kills a program and its process group. A program that was forked just now leads none yet.
void kill_group(pid_t leader) {
  kill(-leader, SIGKILL);
  kill(leader, SIGKILL);
}

// ---- In the program's process ----

bool limit(int resource, rlim_t value) {
  const rlimit both{value, value};
  return setrlimit(resource, &both) == 0;
}

bool become(const CheckUser& user) {
  if (getuid() == user.uid && geteuid() == user.uid) return true;  // tests without privileges
  return setgroups(0, nullptr) == 0 && setresgid(user.gid, user.gid, user.gid) == 0 &&
         setresuid(user.uid, user.uid, user.uid) == 0;
}

// Connects standard input, output and error, and closes everything else.
bool set_descriptors(int output) {
  const int null = open("/dev/null", O_RDONLY);
  return null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
         dup2(output, STDERR_FILENO) >= 0 && close_range(STDERR_FILENO + 1, ~0U, 0) == 0;
}

// The kernel, when it runs out of memory, should end a check before anything else.
void be_the_first_to_go() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  [[maybe_unused]] const auto written = write(file, "1000", 4);
  close(file);
}

void restore_signals() {
  for (int signal = 1; signal < NSIG; signal++) std::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Returns only if the program can't be run; errno tells why.
void become_program(const CheckSettings& settings, const std::string& path,
                    const CheckRequest& request, int output) {
  const auto port = std::to_string(request.port);
  std::array<std::string, 4> variables = {fmt::format("SLUICE_ADDRESS={}", request.address),
                                          "SLUICE_PORT=" + port,
                                          fmt::format("SLUICE_CHECK={}", request.check),
                                          fmt::format("SLUICE_TIMEOUT={}", request.seconds)};
  std::array<char*, 5> environment{};
  std::ranges::transform(variables, environment.begin(), [](auto& one) { return one.data(); });
  std::string program = path, address = request.address, port_text = port;
  std::array<char*, 4> arguments = {program.data(), address.data(), port_text.data(), nullptr};

  umask(077);
  be_the_first_to_go();
  if (setsid() < 0 || chdir("/") != 0 || !set_descriptors(output) || !limit(RLIMIT_CORE, 0) ||
      !limit(RLIMIT_NOFILE, most_descriptors) || !limit(RLIMIT_FSIZE, largest_file) ||
      !limit(RLIMIT_NPROC, most_processes_per_check * settings.at_once) || !become(settings.user) ||
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return;
  restore_signals();
  execve(path.c_str(), arguments.data(), environment.data());
}

// ---- The launcher ----

class Launcher {
 public:
  Launcher(const CheckSettings& settings, int socket);

  void tell(CheckReply::Kind kind, std::uint64_t id, int status, std::string_view text);
  // Serves until the daemon is gone.
  void run();

 private:
  bool take_requests();
  void take(const CheckRequest& request);
  void start(const CheckRequest& request);
  unsigned free_slot() const;
  void read_output(Running& running);
  void tell_end(const Running& running, int status);
  void reap();
  void kill_orphans();
  void kill_late();
  int milliseconds_to_wait() const;

  const CheckSettings& settings_;
  int socket_;
  UniqueFd child_ended_;
  int* errors_ = nullptr;  // one per slot; shared with a child until it is its program
  std::list<Running> running_;
  Clock::time_point next_sweep_ = Clock::now();
};

Launcher::Launcher(const CheckSettings& settings, int socket)
    : settings_(settings), socket_(socket) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  child_ended_ = UniqueFd(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  void* memory = mmap(nullptr, settings.at_once * sizeof *errors_, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) errors_ = static_cast<int*>(memory);
}

void Launcher::tell(CheckReply::Kind kind, std::uint64_t id, int status, std::string_view text) {
  CheckReply reply{};
  reply.kind = kind;
  reply.id = id;
  reply.status = status;
  reply.length = static_cast<std::uint32_t>(text.copy(reply.text, sizeof reply.text));
  // Waits while the daemon is busy: nobody else needs the launcher.
  while (send(socket_, &reply, sizeof reply, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

bool Launcher::take_requests() {
  for (;;) {
    CheckRequest request{};
    const auto got = recv(socket_, &request, sizeof request, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == static_cast<ssize_t>(sizeof request)) take(request);
  }
}

// Trusts no request: the daemon serves networks, and can do less than this process.
void Launcher::take(const CheckRequest& request) {
  auto known = request;
  known.check[sizeof known.check - 1] = 0;
  known.address[sizeof known.address - 1] = 0;
  if (known.kind == CheckRequest::Kind::start) return start(known);
  for (auto& running : running_) {
    if (running.request.id == known.id) kill_group(running.pid);
  }
}

bool is_address(const char* text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return inet_pton(AF_INET, text, bytes.data()) == 1 ||
         inet_pton(AF_INET6, text, bytes.data()) == 1;
}

// There is one, because no more programs run than there are slots.
unsigned Launcher::free_slot() const {
  unsigned slot = 0;
  while (std::ranges::find(running_, slot, &Running::slot) != running_.end()) slot++;
  return slot;
}

void Launcher::start(const CheckRequest& request) {
  const auto refuse = [&](std::string_view why) {
    tell(CheckReply::Kind::refused, request.id, 0, why);
  };
  const auto declared = settings_.programs.find(request.check);
  if (declared == settings_.programs.end())
    return refuse(fmt::format("this node declares no check '{}'", request.check));
  const auto& path = declared->second;
  if (!is_address(request.address)) return refuse("a check needs an address");
  if (running_.size() >= settings_.at_once) return refuse("too many checks run");
  if (auto may = settings_.permit(path); !may)
    return refuse(fmt::format("check '{}': {}", request.check, may.error().text()));

  std::array<int, 2> ends{};
  if (!errors_ || pipe2(ends.data(), O_CLOEXEC) != 0) return refuse(strerror(errno));
  UniqueFd output(ends[0]);
  const UniqueFd input(ends[1]);
  fcntl(output.get(), F_SETFL, O_NONBLOCK);
  const auto slot = free_slot();
  errors_[slot] = 0;
  const pid_t pid = fork();
  if (pid < 0) return refuse(fmt::format("check '{}': fork: {}", request.check, strerror(errno)));
  if (pid == 0) {
    become_program(settings_, path, request, input.get());
    errors_[slot] = errno;
    _exit(127);
  }
  running_.push_back({.request = request,
                      .pid = pid,
                      .slot = slot,
                      .output = std::move(output),
                      .kill_at = Clock::now() + std::chrono::seconds(request.seconds) + grace,
                      .text = {},
                      .written = 0,
                      .flooded = false});
}

void Launcher::read_output(Running& running) {
  std::array<char, 4096> buffer{};
  while (running.output) {
    const auto got = read(running.output.get(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return running.output.reset();
    const auto count = static_cast<std::size_t>(got);
    running.written += count;
    const auto room = kept_check_output - std::min(kept_check_output, running.text.size());
    running.text.append(buffer.data(), std::min(room, count));
    if (running.written <= most_check_output) continue;
    running.flooded = true;
    running.output.reset();
    kill_group(running.pid);
  }
}

void Launcher::tell_end(const Running& running, int status) {
  using Kind = CheckReply::Kind;
  const auto id = running.request.id;
  if (const int error = errors_[running.slot]; error != 0) {
    return tell(Kind::refused, id, 0,
                fmt::format("check '{}' can't be run: {}", running.request.check, strerror(error)));
  }
  tell(running.flooded ? Kind::flooded : Kind::ended, id, status, running.text);
}

// Takes the ends of programs, and of orphans, which nobody else waits for.
void Launcher::reap() {
  std::array<signalfd_siginfo, 16> seen{};
  while (read(child_ended_.get(), seen.data(), sizeof seen) > 0) {
  }
  for (;;) {
    // It stays a zombie until its group has been killed, so that nobody else has its number.
    siginfo_t ended{};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) break;
    const auto found = std::ranges::find(running_, ended.si_pid, &Running::pid);
    if (found != running_.end()) kill_group(ended.si_pid);
    int status = 0;
    waitpid(ended.si_pid, &status, 0);
    if (found == running_.end()) continue;
    read_output(*found);
    tell_end(*found, status);
    running_.erase(found);
  }
  kill_orphans();
}

// Kills processes that have left the group of their program and lost their parent.
void Launcher::kill_orphans() {
  next_sweep_ = Clock::now() + between_sweeps;
  for (const auto child : children()) {
    const auto group = getpgid(child);
    const auto same = [&](const Running& one) { return one.pid == group || one.pid == child; };
    if (std::ranges::none_of(running_, same)) kill(child, SIGKILL);
  }
}

void Launcher::kill_late() {
  const auto now = Clock::now();
  for (const auto& running : running_) {
    if (running.kill_at <= now) kill_group(running.pid);
  }
  if (!running_.empty() && next_sweep_ <= now) kill_orphans();
}

int Launcher::milliseconds_to_wait() const {
  constexpr int tick = 250;
  return running_.empty() ? -1 : tick;
}

void Launcher::run() {
  for (;;) {
    std::vector<pollfd> watched = {{socket_, POLLIN, 0}, {child_ended_.get(), POLLIN, 0}};
    for (const auto& running : running_) {
      if (running.output) watched.push_back({running.output.get(), POLLIN, 0});
    }
    poll(watched.data(), watched.size(), milliseconds_to_wait());
    for (auto& running : running_) read_output(running);
    if (watched[1].revents != 0) reap();
    kill_late();
    if (watched[0].revents != 0 && !take_requests()) return;
  }
}

}  // namespace

void run_check_launcher(const CheckSettings& settings, int socket, bool anew) {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  Launcher launcher(settings, socket);
  if (anew) launcher.tell(CheckReply::Kind::anew, 0, 0, {});
  launcher.run();
  end_all_children();
}

void end_all_children() {
  for (auto left = children(); !left.empty(); left = children()) {
    for (const auto child : left) {
      kill_group(child);
    }
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    usleep(1000);  // for those that die just now to be inherited
  }
}

}  // namespace sluice::health
