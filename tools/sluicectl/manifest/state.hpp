// What there is, as a manifest.
#pragma once

#include "base/result.hpp"
#include "sluicectl/manifest/item.hpp"

namespace sluice::ctl {

class Client;

// Everything that the API lists, each item with its id.
Result<Item> fetch_state(Client& client);

// Without the ids, but for pools that their name does not tell apart within their load balancer.
Item without_ids(Item document);

}  // namespace sluice::ctl
