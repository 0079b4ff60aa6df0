// State: the present state as a manifest.
#pragma once

#include "base/result.hpp"
#include "sluicectl/manifest/item.hpp"

namespace sluice::ctl {

class Client;

// Reads everything that the API lists, each item with its id.
Result<Item> fetch_state(Client& client);

// Drops the ids, except those of pools whose name is not unique within their load balancer.
Item without_ids(Item document);

}  // namespace sluice::ctl
