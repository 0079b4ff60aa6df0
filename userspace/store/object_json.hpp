// Object JSON: an object, the quotas or the drained nodes as JSON, for a store that other nodes
// read, too.
//
// The names are those of the columns. What a node finds out for itself is left out: provisioning
// status and error, and whether a change failed. An attribute that is missing keeps its default;
// one that this version does not know is kept by whoever writes the object again (`kept`).
#pragma once

#include <boost/json/object.hpp>

#include "model/objects.hpp"

namespace sluice::store {

// Writes the object over `kept`, which is how it was read.
template <typename T>
boost::json::object to_json(const T& object, boost::json::object kept = {});
// Reads the object; nullopt: an attribute has a value that this version does not know.
template <typename T>
std::optional<T> from_json(const boost::json::object& json);

// The attributes that this version reads and writes: null for those with any value, an array of
// words for the others.
template <typename T>
boost::json::object known_attributes();

boost::json::object quotas_to_json(const model::Quotas& quotas);
std::optional<model::Quotas> quotas_from_json(const boost::json::object& json);
boost::json::object drained_nodes_to_json(const model::DrainedNodes& nodes);
std::optional<model::DrainedNodes> drained_nodes_from_json(const boost::json::object& json);

}  // namespace sluice::store
