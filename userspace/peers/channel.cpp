#include "peers/channel.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <array>
#include <boost/asio/ip/udp.hpp>
#include <cstring>
#include <utility>

namespace sluice::peers {
namespace {

using Endpoint = boost::asio::ip::udp::endpoint;
using namespace std::chrono_literals;

constexpr auto between_looks_at_keys = 250ms;
constexpr auto between_states = 100ms;
// What the kernel keeps while this thread is busy: some tenths of a second of a busy node.
constexpr int socket_bytes = 8 << 20;
constexpr unsigned datagrams_at_a_time = 64, most_readings = 16;

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) std::abort();
  return seed;
}

// Addresses are written as those of peers are: IPv4 is IPv4, also on a socket for both.
Address text_of(const Endpoint& endpoint) {
  auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
  return TcpAddress{address, endpoint.port()}.to_string();
}

sockaddr_storage storage_of(const TcpAddress& to, bool is_ipv6_socket) {
  auto address = to.address;
  if (is_ipv6_socket && address.is_v4())
    address = boost::asio::ip::make_address_v6(boost::asio::ip::v4_mapped, address.to_v4());
  const Endpoint endpoint(address, to.port);
  sockaddr_storage storage{};
  std::memcpy(&storage, endpoint.data(), endpoint.size());
  return storage;
}

Endpoint endpoint_of(const sockaddr_storage& storage, socklen_t size) {
  Endpoint endpoint;
  // The endpoint's size is that of the family that it has, so of IPv4 until it has another one.
  std::memcpy(endpoint.data(), &storage, std::min<std::size_t>(size, endpoint.capacity()));
  return endpoint;
}

Result<UniqueFd> open_socket(const TcpAddress& listen) {
  const Endpoint endpoint(listen.address, listen.port);
  const int family = endpoint.data()->sa_family;
  UniqueFd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int off = 0;
  if (socket && family == AF_INET6)
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  // Both may be refused, and are not needed.
  for (const int option : {SO_RCVBUFFORCE, SO_SNDBUFFORCE}) {
    if (socket) ::setsockopt(socket.get(), SOL_SOCKET, option, &socket_bytes, sizeof socket_bytes);
  }
  if (!socket ||
      ::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    const int error = errno;
    return fail_errno(error, "listen for peers on " + listen.to_string(), "see --peer-listen");
  }
  return socket;
}

}  // namespace

bool Channel::FileTime::operator==(const FileTime& other) const {
  return modified.tv_sec == other.modified.tv_sec && modified.tv_nsec == other.modified.tv_nsec &&
         inode == other.inode && size == other.size;
}

Result<std::unique_ptr<Channel>> Channel::open(Settings settings, Log log) {
  std::optional<Keys> keys;
  if (!settings.key_file.empty()) {
    auto read = Keys::read(settings.key_file);
    if (!read) return tl::unexpected(std::move(read.error()));
    keys = std::move(*read);
  }
  auto socket = open_socket(settings.listen);
  if (!socket) return tl::unexpected(std::move(socket.error()));
  return std::unique_ptr<Channel>(
      new Channel(std::move(settings), std::move(log), std::move(*socket), std::move(keys)));
}

Channel::Channel(Settings settings, Log log, UniqueFd socket, std::optional<Keys> keys)
    : settings_(std::move(settings)),
      log_(std::move(log)),
      socket_(std::move(socket)),
      keys_time_(key_file_time()) {
  if (keys) exchange_keys(std::move(*keys));
}

Channel::~Channel() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

void Channel::start() {
  thread_ = std::thread([this] { run(); });
}

void Channel::follow(std::unique_ptr<dataplane::Replicas> replicas, std::size_t share) {
  const std::lock_guard lock(mutex_);
  next_.replicas = std::move(replicas);
  next_.share = share;
}

void Channel::set_peers(const std::vector<TcpAddress>& peers) {
  const std::lock_guard lock(mutex_);
  next_.peers = peers;
}

void Channel::know(const model::Model& model) {
  const std::lock_guard lock(mutex_);
  next_.model = model;
}

void Channel::use_keys(Keys keys) {
  const std::lock_guard lock(mutex_);
  next_.keys = std::move(keys);
}

control::PeersState Channel::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Channel::run() {
  auto next_tick = std::chrono::steady_clock::now();
  auto next_state = next_tick, next_keys = next_tick + between_looks_at_keys;
  while (!ending_) {
    auto now = std::chrono::steady_clock::now();
    if (wait_for_datagrams(next_tick - now)) receive(std::chrono::steady_clock::now());
    now = std::chrono::steady_clock::now();
    if (now < next_tick) continue;
    next_tick = now + Exchange::between_ticks;
    take_over(now);
    if (now >= next_keys) {
      next_keys = now + between_looks_at_keys;
      look_at_key_file();
    }
    if (!exchange_) continue;
    exchange_->tick(now);
    if (now < next_state) continue;
    next_state = now + between_states;
    auto state = exchange_->state();
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }
}

// Says whether there is something to receive. Without keys nobody could read it, so it is left to
// the socket.
bool Channel::wait_for_datagrams(Time::duration most) {
  const auto left = std::max(most, Time::duration::zero());
  const timespec patience{0, std::chrono::nanoseconds(left).count()};
  pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  return ::ppoll(&readable, exchange_ ? 1 : 0, &patience, nullptr) > 0;
}

// Takes what other threads have handed over.
void Channel::take_over(Time now) {
  Handover next;
  {
    const std::lock_guard lock(mutex_);
    if (!exchange_ && !next_.keys) return;
    next = std::exchange(next_, {});
  }
  if (next.keys) exchange_keys(std::move(*next.keys));
  if (next.model) exchange_->know(std::move(*next.model));
  if (next.replicas) {
    exchange_->use(next.replicas.get(), next.share);
    replicas_ = std::move(next.replicas);
  }
  if (next.peers) {
    const bool is_ipv6 = settings_.listen.address.is_v6();
    std::vector<Address> peers;
    for (const auto& peer : *next.peers) {
      if (peer.address.is_v6() && !is_ipv6) continue;
      const auto text = peer.to_string();
      addresses_.insert_or_assign(text, storage_of(peer, is_ipv6));
      peers.push_back(text);
    }
    exchange_->set_peers(peers, now);
  }
  if (routes_changed_.exchange(false)) exchange_->routes_changed();
}

void Channel::receive(Time now) {
  struct Place {
    std::array<std::uint8_t, max_datagram + 1> bytes;  // one more shows that it is too large
    sockaddr_storage from;
    iovec vector;
  };
  static thread_local std::vector<Place> places(datagrams_at_a_time);
  std::array<mmsghdr, datagrams_at_a_time> messages{};
  for (unsigned reading = 0; reading < most_readings; ++reading) {
    for (unsigned i = 0; i < datagrams_at_a_time; ++i) {
      auto& place = places[i];
      place.vector = {place.bytes.data(), place.bytes.size()};
      messages[i].msg_hdr = {};
      messages[i].msg_hdr.msg_name = &place.from;
      messages[i].msg_hdr.msg_namelen = sizeof place.from;
      messages[i].msg_hdr.msg_iov = &place.vector;
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count =
        ::recvmmsg(socket_.get(), messages.data(), datagrams_at_a_time, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto& place = places[static_cast<unsigned>(i)];
      const auto& message = messages[static_cast<unsigned>(i)];
      exchange_->receive(text_of(endpoint_of(place.from, message.msg_hdr.msg_namelen)),
                         View(place.bytes).first(message.msg_len), now);
    }
    if (count < static_cast<int>(datagrams_at_a_time)) break;
  }
  exchange_->settle(now);
}

// A peer that is not there is told by an earlier datagram's error, which must not cost this one.
bool Channel::send(const Address& to, const Bytes& datagram) {
  const auto& address = addresses_.at(to);
  const socklen_t size = address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  for (int i = 0; i < 2; ++i) {
    if (::sendto(socket_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size) >= 0)
      return true;
    if (errno != ECONNREFUSED) break;
  }
  return false;
}

std::optional<Channel::FileTime> Channel::key_file_time() const {
  struct stat status {};
  if (::stat(settings_.key_file.c_str(), &status) != 0) return std::nullopt;
  return FileTime{status.st_mtim, status.st_ino, status.st_size};
}

// The file is read again without a restart. One that can't be read any more changes nothing.
void Channel::look_at_key_file() {
  const auto time = key_file_time();
  if (time == std::exchange(keys_time_, time)) return;
  auto keys = Keys::read(settings_.key_file);
  if (!keys) return log_(keys.error().text() + "; the earlier keys stay");
  exchange_keys(std::move(*keys));
}

void Channel::exchange_keys(Keys keys) {
  if (keys == keys_) return;
  keys_ = std::move(keys);
  if (exchange_) {
    exchange_->exchange_keys(*keys_);
    return log_(fmt::format("peers: keys were exchanged; there are {} now", keys_->all().size()));
  }
  exchange_ = std::make_unique<Exchange>(
      *keys_,
      Exchange::Settings{
          .name = settings_.name, .kept = Outgoing::most_kept, .seed = random_seed()},
      Exchange::Callbacks{
          .send = [this](const Address& to, const Bytes& bytes) { return send(to, bytes); },
          .log = log_});
}

}  // namespace sluice::peers
