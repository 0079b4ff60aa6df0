// Event: something that happened, as a value, and as JSON.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/event_record.hpp"
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
  std::string project = {};     // its members may see the event; empty: the object's project
};

// Makes an event of sluiced itself, about a member (null: no object).
Event about_member(std::string_view kind, std::string message, const model::Member* member);

// Returns the project whose members may see the event; empty: it belongs to the node.
std::string_view project_of(const Event& event);
// Says whether the event fits the query, apart from its number.
bool is_asked_for(const Event& event, const model::EventQuery& query);

boost::json::object render(const Event& event);

// Converts to the stored form, and back.
model::EventRecord record_of(const Event& event);
Event event_of(const model::EventRecord& record);

}  // namespace sluice::api
