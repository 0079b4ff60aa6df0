#include "network/vrrp_fifo.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <string>

#include "network/vrrp_instances.hpp"

namespace sluice::network {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

// keepalived removes a FIFO that it has made when it ends, and makes another one later.
constexpr auto between_looks = std::chrono::seconds(1);
// A line of keepalived is much shorter; what is longer was not written by it.
constexpr std::size_t longest_line = 4096;

constexpr mode_t fifo_mode = 0600;

// Opens the FIFO for both ends, so that it has no end of file when keepalived goes.
Result<int> open_fifo(const fs::path& path) {
  const auto what = "open the FIFO " + path.string();
  if (::mkfifo(path.c_str(), fifo_mode) != 0 && errno != EEXIST) return fail_errno(errno, what);
  const int fd = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, what);
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) return fd;
  ::close(fd);
  return fail(ErrorKind::invalid, what + ": it is another kind of file");
}

bool is_at(int fd, const fs::path& path) {
  struct stat own {};
  struct stat present {};
  return ::fstat(fd, &own) == 0 && ::stat(path.c_str(), &present) == 0 &&
         own.st_dev == present.st_dev && own.st_ino == present.st_ino;
}

}  // namespace

struct VrrpFifo::State : std::enable_shared_from_this<State> {
  State(const asio::any_io_executor& executor, fs::path path_)
      : path(std::move(path_)), fifo(executor), timer(executor) {}

  fs::path state_file() const { return path.string() + ".state"; }
  void recall();
  void keep() const;
  void read();
  void take(std::size_t bytes);
  void take_line(const std::string& line);
  void look();

  fs::path path;
  asio::posix::stream_descriptor fifo;
  asio::steady_timer timer;
  std::array<char, longest_line> buffer{};
  std::string rest;  // of a line
  VrrpInstances instances;
  Callbacks callbacks;
  bool stopped = false;
};

void VrrpFifo::State::recall() {
  std::ifstream file(state_file());
  for (std::string line; std::getline(file, line);) instances.take(line);
}

// The file is on a file system in memory: writing it waits for no disk.
void VrrpFifo::State::keep() const {
  const fs::path fresh = state_file().string() + ".new";
  std::ofstream(fresh) << instances.lines();
  std::error_code error;
  fs::rename(fresh, state_file(), error);
  if (error) spdlog::warn("keep the VRRP state in {}: {}", state_file().string(), error.message());
}

void VrrpFifo::State::read() {
  fifo.async_read_some(
      asio::buffer(buffer),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t bytes) {
        if (self->stopped || error == asio::error::operation_aborted) return;
        if (!error) self->take(bytes);
        self->read();
      });
}

void VrrpFifo::State::take(std::size_t bytes) {
  rest.append(buffer.data(), bytes);
  for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
    const auto line = rest.substr(0, end);
    rest.erase(0, end + 1);
    take_line(line);
  }
  if (rest.size() > longest_line) rest.clear();
}

void VrrpFifo::State::take_line(const std::string& line) {
  const bool before = instances.any_master();
  const auto news = instances.take(line);
  if (news == VrrpInstances::News::state) keep();
  if (instances.any_master() != before) return callbacks.changed(!before);
  if (news == VrrpInstances::News::claimed) callbacks.claimed();
}

void VrrpFifo::State::look() {
  timer.expires_after(between_looks);
  timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->stopped) return;
    if (!is_at(self->fifo.native_handle(), self->path)) {
      if (const auto fd = open_fifo(self->path)) {
        self->fifo.close();  // ends the read
        self->fifo.assign(*fd);
        self->rest.clear();
        self->read();
      }
    }
    self->look();
  });
}

VrrpFifo::VrrpFifo(std::shared_ptr<State> state) : state_(std::move(state)) {}

VrrpFifo::~VrrpFifo() {
  if (!state_) return;
  state_->stopped = true;
  state_->timer.cancel();
  state_->fifo.cancel();
}

Result<VrrpFifo> VrrpFifo::open(asio::any_io_executor executor, fs::path path) {
  auto state = std::make_shared<State>(executor, std::move(path));
  const auto fd = open_fifo(state->path);
  if (!fd) return tl::unexpected(fd.error());
  state->fifo.assign(*fd);
  state->recall();
  return VrrpFifo(std::move(state));
}

bool VrrpFifo::is_active() const {
  return state_->instances.any_master();
}

void VrrpFifo::listen(Callbacks callbacks) {
  state_->callbacks = std::move(callbacks);
  state_->read();
  state_->look();
}

}  // namespace sluice::network
