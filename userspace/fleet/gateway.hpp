// Gateway: the calls of etcd.hpp in the words of etcd's JSON gateway (/v3/...). Pure.
//
// Keys and values are base64, numbers are strings, and what is zero, false or empty is left out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fleet/etcd.hpp"

namespace sluice::fleet::gateway {

struct Request {
  std::string path;
  std::string body;
};

Request transaction(const Transaction& transaction);
Request reading(const std::string& key, Etcd::Extent extent);
Request past_reading(const std::string& key, std::int64_t revision);
Request grant(std::chrono::seconds life);
Request renewal(std::int64_t lease);
Request watch(const std::string& prefix, std::int64_t from);
Request authentication(const std::string& user, const std::string& password);

// Reads an answer with status 200. A failure: it is none.
Answer<TransactionReply> to_transaction_reply(const std::string& body);
Answer<Reading> to_reading(const std::string& body);
Answer<std::int64_t> to_lease(const std::string& body);
Answer<bool> to_renewal(const std::string& body);
Answer<std::string> to_token(const std::string& body);

// One line of a watch.
struct WatchLine {
  Header header;
  std::vector<Change> changes;
  std::optional<WatchEnd> end;
};
WatchLine to_watch_line(const std::string& line);

// Reads an answer with another status.
Failure to_failure(unsigned status, const std::string& body);
// Says whether the failure is that a revision is compacted.
bool is_compacted(const Failure& failure);
// Says whether such an answer asks to sign in (again).
bool asks_for_authentication(unsigned status, const std::string& body);

}  // namespace sluice::fleet::gateway
