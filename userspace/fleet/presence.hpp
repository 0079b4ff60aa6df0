// Presence: keeps this node's keys in etcd as long as it lives, under a lease of ten seconds. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"
#include "fleet/roster.hpp"

namespace sluice::fleet {

class Presence {
 public:
  // `event`: gets a line for the log.
  Presence(Etcd& etcd, Keys keys, std::function<void(Tone, const std::string&)> event)
      : etcd_(etcd), keys_(std::move(keys)), event_(std::move(event)) {}
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

  // Writes the entry, now or as soon as etcd is there, and keeps it there.
  void show(NodeEntry entry);
  // The same for another key of this node. It is written together with the entry, when this node
  // has shown one.
  void tell(const std::string& key, std::string value);

 private:
  static constexpr auto life = std::chrono::seconds(10);
  static constexpr auto time_between_renewals = std::chrono::seconds(3);
  static constexpr auto pause = std::chrono::seconds(1);

  using Texts = std::map<std::string, std::string>;  // by key

  void proceed();
  void write();
  void written(const std::string& value, const Texts& told, const Answer<TransactionReply>& answer);
  void forget_what_is_written();
  void found_another(const TransactionReply& reply);
  void renew();
  void try_again();

  Etcd& etcd_;
  Keys keys_;
  std::function<void(Tone, const std::string&)> event_;
  NodeEntry entry_;
  std::int64_t lease_ = 0;              // 0: none
  std::optional<std::string> present_;  // the key's value, as far as is known
  std::string written_;                 // by this process, under the lease
  Texts told_, written_texts_;          // the other keys
  bool is_begun_ = false;
  bool is_busy_ = false;  // with a call, or waiting for the next try
  bool told_of_another_ = false;
};

}  // namespace sluice::fleet
