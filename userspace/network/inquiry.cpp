#include "network/inquiry.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "network/arp_frame.hpp"
#include "network/discovery_frame.hpp"
#include "network/frame_sender.hpp"

namespace sluice::network {
namespace {

namespace asio = boost::asio;

// Lets the socket receive neighbour advertisements only, not all IPv6 traffic of the host.
Result<void> take_advertisements_only(int fd) {
  constexpr std::uint32_t next_header = ETH_HLEN + 6, icmp_type = ETH_HLEN + 40;
  std::array<sock_filter, 6> program{{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, next_header),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 58, 0, 3),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, icmp_type),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 136, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  const sock_fprog filter{program.size(), program.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0)
    return fail_errno(errno, "filter neighbour advertisements");
  return {};
}

// Opens a socket that receives all frames of this protocol, on all interfaces.
Result<int> open_listener(std::uint16_t protocol) {
  const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(protocol));
  if (fd < 0) return fail_errno(errno, "listen to who has an address", "needs CAP_NET_RAW");
  if (protocol == ETH_P_ARP) return fd;
  if (auto filtered = take_advertisements_only(fd); !filtered) {
    close(fd);
    return tl::unexpected(std::move(filtered.error()));
  }
  return fd;
}

struct Asking : std::enable_shared_from_this<Asking> {
  explicit Asking(const asio::any_io_executor& executor) : timer(executor), end(executor) {}

  Result<void> listen(const asio::any_io_executor& executor, std::uint16_t protocol);
  void hear(asio::posix::stream_descriptor& listener);
  void take_what_is_there(asio::posix::stream_descriptor& listener);
  void take(std::span<const std::uint8_t> frame);
  void ask(int repetition);
  void finish();

  std::vector<Question> questions;
  std::set<MacAddress> own;
  Inquiry::Done done;
  std::set<IpAddress> open;  // without an answer so far
  std::vector<NeighborClaim> answers;
  std::map<std::uint32_t, std::optional<FrameSender>> senders;
  std::vector<std::unique_ptr<asio::posix::stream_descriptor>> listeners;
  asio::steady_timer timer, end;
};

Result<void> Asking::listen(const asio::any_io_executor& executor, std::uint16_t protocol) {
  const auto fd = open_listener(protocol);
  if (!fd) return tl::unexpected(fd.error());
  listeners.push_back(std::make_unique<asio::posix::stream_descriptor>(executor, *fd));
  hear(*listeners.back());
  return {};
}

void Asking::hear(asio::posix::stream_descriptor& listener) {
  listener.async_wait(asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this(), &listener](const auto& error) {
                        if (error || !self->done) return;
                        self->take_what_is_there(listener);
                        if (self->done) self->hear(listener);
                      });
}

void Asking::take_what_is_there(asio::posix::stream_descriptor& listener) {
  constexpr int at_once = 64;
  std::array<std::uint8_t, 128> frame;
  for (int i = 0; i < at_once && done; ++i) {
    const auto size = recv(listener.native_handle(), frame.data(), frame.size(), 0);
    if (size < 0) return;
    take(std::span(frame).first(static_cast<std::size_t>(size)));
  }
}

void Asking::take(std::span<const std::uint8_t> frame) {
  auto claim = claim_of_arp(frame);
  if (!claim) claim = claim_of_advertisement(frame);
  if (!claim || own.contains(claim->mac) || open.erase(claim->address) == 0) return;
  answers.push_back(*claim);
  if (open.empty()) finish();
}

void Asking::ask(int repetition) {
  for (const auto& [interface, source, address] : questions) {
    if (!open.contains(address)) continue;
    auto sender = senders.find(interface);
    if (sender == senders.end()) {
      auto opened = FrameSender::open(interface);
      sender = senders.emplace(interface, opened ? std::move(*opened) : std::nullopt).first;
    }
    if (!sender->second) continue;
    const auto& mac = sender->second->mac();
    if (address.is_v6()) {
      (void)sender->second->send(neighbor_solicitation(mac, source, address, std::nullopt));
    } else {
      (void)sender->second->send(arp_request(mac, asio::ip::address_v4(), address, broadcast_mac));
    }
  }
  if (repetition == Inquiry::repetitions) return;
  timer.expires_after(Inquiry::between);
  timer.async_wait([self = shared_from_this(), repetition](const auto& error) {
    if (!error && self->done) self->ask(repetition + 1);
  });
}

void Asking::finish() {
  timer.cancel();
  end.cancel();
  for (auto& listener : listeners) listener->cancel();
  std::exchange(done, nullptr)(std::move(answers));
}

}  // namespace

Result<void> Inquiry::start(const asio::any_io_executor& executor, std::vector<Question> questions,
                            std::vector<MacAddress> own, Done done) {
  const auto asking = std::make_shared<Asking>(executor);
  asking->own = {own.begin(), own.end()};
  bool v4 = false, v6 = false;
  for (const auto& question : questions) {
    (question.address.is_v6() ? v6 : v4) = true;
    asking->open.insert(question.address);
  }
  asking->questions = std::move(questions);
  asking->done = std::move(done);
  Result<void> listening;
  if (v4) listening = asking->listen(executor, ETH_P_ARP);
  if (v6 && listening) listening = asking->listen(executor, ETH_P_IPV6);
  if (!listening) {
    asking->done = nullptr;
    for (auto& listener : asking->listeners) listener->cancel();
    return listening;
  }
  asking->end.expires_after(patience);
  asking->end.async_wait([asking](const auto& error) {
    if (error) return;
    // The loop may have been busy for longer than anybody needs to answer, so answers may wait
    // unread.
    for (auto& listener : asking->listeners) {
      if (asking->done) asking->take_what_is_there(*listener);
    }
    if (asking->done) asking->finish();
  });
  asking->ask(1);
  return {};
}

}  // namespace sluice::network
