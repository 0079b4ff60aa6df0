// EventRecord: an event as it is stored. EventQuery: a search among events. api/language/events.hpp
// says which events there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "model/objects.hpp"

namespace sluice::model {

struct EventRecord {
  std::uint64_t number = 0;  // unique, and higher than the numbers of earlier events
  Timestamp time{};
  std::string kind;
  std::string object_type = {}, object_id = {}, object_name = {};  // empty: no object
  std::string project_id = {};  // its members may see the event; empty: it belongs to the node
  std::string text = {};        // everything else, as a JSON object

  bool operator==(const EventRecord&) const = default;
};

struct EventQuery {
  // Set: the oldest events after this number. Unset: the newest events.
  std::optional<std::uint64_t> after = {};
  std::optional<std::uint64_t> before = {};  // only numbers below it
  std::size_t limit = 1000;
  std::string kind = {}, object_type = {};  // empty: any
  std::string object = {};                  // an id or a name; empty: any
  std::string request_id = {};              // of the request that did it; empty: any
  std::optional<std::string> project_id = {};
};

}  // namespace sluice::model
