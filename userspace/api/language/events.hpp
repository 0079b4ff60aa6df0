// Events: what happened lately, for operators and audits: who changed what, which members came and
// went, what was refused, who was not let in. A bounded list in memory; the log has all of it for
// longer.
//
// GET /v1/events?after=NUMBER&limit=COUNT&kind=KIND answers {"events": [...], "last": NUMBER},
// oldest first. Numbers go up by one and begin anew with each start of sluiced; whoever follows the
// list asks again with `after` the last number that it has seen.
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
  boost::json::object object;   // {"type": "member", "id": ..., "name": ...}; empty: about none
  boost::json::object before;   // the attributes that changed, as they were
  boost::json::object after;    // and as they are
  std::string request_id = {};  // x-openstack-request-id
};

class Events {
 public:
  static constexpr std::size_t capacity = 4096;

  void add(Event event);

  std::uint64_t last() const { return next_ - 1; }
  // At most `limit` of those behind `after`, of one kind if that is not empty. A number from before
  // a restart, which is higher than all, asks for everything.
  std::vector<const Event*> behind(std::uint64_t after, std::size_t limit,
                                   std::string_view kind = {}) const;

 private:
  std::deque<Event> events_;
  std::uint64_t next_ = 1;
};

// What sluiced itself has to tell, about a member (null: about none).
Event about_member(std::string_view kind, std::string message, const Uuid* member);

boost::json::object render(const Event& event);

}  // namespace sluice::api
