// Channel: a thread that exchanges connections with the peers over a UDP socket. The event loop
// never waits for it, nor it for the event loop.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"
#include "base/tcp_address.hpp"
#include "control/peers.hpp"
#include "peers/exchange.hpp"

namespace sluice::peers {

constexpr std::uint16_t default_port = 9877;

class Channel final : public control::Peers {
 public:
  struct Settings {
    TcpAddress listen;
    std::filesystem::path key_file;  // empty: the keys come by use_keys()
    std::string name;                // of this node
  };
  // Gets lines for the log; on the channel's thread.
  using Log = std::function<void(std::string line)>;

  // Reads the keys, if they are in a file, and opens the socket. The thread begins with start().
  static Result<std::unique_ptr<Channel>> open(Settings settings, Log log);
  ~Channel() override;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void start();
  // This is the data plane from now on, in which each peer may have so many connections.
  void follow(std::unique_ptr<dataplane::Replicas> replicas, std::size_t share);
  // These are the peers from now on. An address of another IP version than the socket's is none.
  void set_peers(const std::vector<TcpAddress>& peers);
  // Packets may come to other nodes than before.
  void routes_changed() { routes_changed_ = true; }
  // These are the listeners and members from now on.
  void know(const model::Model& model);
  // These are the keys from now on. Without any, nothing is sent and nothing is heard.
  void use_keys(Keys keys);

  control::PeersState state() const override;

 private:
  struct Handover {
    std::unique_ptr<dataplane::Replicas> replicas;
    std::size_t share = 0;  // of `replicas`
    std::optional<std::vector<TcpAddress>> peers;
    std::optional<model::Model> model;
    std::optional<Keys> keys;
  };
  struct FileTime {
    timespec modified;
    ino_t inode;
    off_t size;
    bool operator==(const FileTime& other) const;
  };

  Channel(Settings settings, Log log, UniqueFd socket, std::optional<Keys> keys);
  void run();
  bool wait_for_datagrams(Time::duration most);
  void take_over(Time now);
  void receive(Time now);
  bool send(const Address& to, const Bytes& datagram);
  void look_at_key_file();
  void exchange_keys(Keys keys);
  std::optional<FileTime> key_file_time() const;

  Settings settings_;
  Log log_;
  UniqueFd socket_;
  std::optional<Keys> keys_;
  std::optional<FileTime> keys_time_;
  std::atomic<bool> routes_changed_{false}, ending_{false};

  mutable std::mutex mutex_;  // guards what threads hand over
  Handover next_;
  control::PeersState state_;

  // The thread's own.
  std::unique_ptr<dataplane::Replicas> replicas_;
  std::map<Address, sockaddr_storage> addresses_;
  std::unique_ptr<Exchange> exchange_;  // null: there are no keys yet
  std::thread thread_;                  // last: it uses all of the above
};

}  // namespace sluice::peers
