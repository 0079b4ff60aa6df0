// EtcdClient: carries out the calls of etcd.hpp over HTTP, on two threads of its own: one for
// calls, one after the other, and one for the watch.
//
// A call that no member has got goes to the next one; so does a reading that is not answered. A
// transaction without an answer is its caller's affair, who can find out what has become of it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "fleet/etcd.hpp"

namespace sluice::fleet {

struct EtcdAccess {
  std::vector<std::string> members;            // "https://10.0.0.1:2379"
  std::filesystem::path ca, certificate, key;  // empty: none
  std::string user, password;                  // empty: none
};

// Reads user and password from a file: "USER:PASSWORD".
Result<void> read_credentials(const std::filesystem::path& file, EtcdAccess& access);
// Checks the members' addresses: https://NAME:PORT, separated by commas.
Result<std::vector<std::string>> parse_members(const std::string& text);

class EtcdClient final : public Etcd {
 public:
  // Answers are given on the executor, which must be stopped when this ends.
  EtcdClient(boost::asio::any_io_executor executor, EtcdAccess access);
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;
  ~EtcdClient() override;

  void transact(Transaction transaction, Done<TransactionReply> done) override;
  void read(std::string key, Extent extent, Done<Reading> done) override;
  void remembers(std::string key, std::int64_t revision, Done<bool> done) override;
  void grant(std::chrono::seconds life, Done<std::int64_t> done) override;
  void renew(std::int64_t lease, Done<bool> done) override;
  void watch(std::string prefix, std::int64_t from, Listener listener) override;
  void after(std::chrono::milliseconds wait, std::function<void()> then) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::fleet
