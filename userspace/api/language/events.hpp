// Events: the recent past for operators and audits: changes and their authors, members that came up
// or went down, requests that were refused, callers that were denied. The list is in memory and
// bounded; the log keeps everything for longer.
//
// GET /v1/events?after=NUMBER&limit=COUNT&kind=KIND answers {"events": [...], "last": NUMBER},
// oldest first. Numbers go up by one and begin anew with each start of sluiced. A client that
// follows the list sends the last number that it has seen as `after`.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "model/objects.hpp"

namespace sluice::api {

struct Event {
  std::uint64_t number = 0;  // given by the list
  model::Timestamp time{};   // likewise
  // "change", "refused", "denied" (no or wrong credentials), "health", "provisioning", "attachment"
  std::string kind;
  std::string who = {};         // "alice", "uid 0"; empty: sluiced itself
  std::string peer = {};        // "192.0.2.7:50514", "pid 812"; empty: sluiced itself
  std::string message = {};     // "updated Member web1 (5a10...)"
  boost::json::object object;   // {"type": "member", "id": ..., "name": ...}; empty: no object
  boost::json::object before;   // the changed attributes' old values
  boost::json::object after;    // and their new ones
  std::string request_id = {};  // x-openstack-request-id
};

class Events {
 public:
  static constexpr std::size_t capacity = 4096;

  void add(Event event);

  std::uint64_t last() const { return next_ - 1; }
  // The events after number `after`, at most `limit`, of `kind` unless that is empty. A number from
  // before a restart, which is higher than all, asks for everything.
  std::vector<const Event*> behind(std::uint64_t after, std::size_t limit,
                                   std::string_view kind = {}) const;

 private:
  std::deque<Event> events_;
  std::uint64_t next_ = 1;
};

// Makes an event of sluiced itself, about a member (null: no object).
Event about_member(std::string_view kind, std::string message, const Uuid* member);

boost::json::object render(const Event& event);

}  // namespace sluice::api
