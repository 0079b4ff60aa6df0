// Uuid: the identity of every object of the model (RFC 4122).
#pragma once

#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

using Uuid = boost::uuids::uuid;

// A new random (version 4) id from the system's entropy.
Uuid new_uuid();

// Parses the canonical 36-character form; nullopt for anything else.
std::optional<Uuid> parse_uuid(std::string_view text);

}  // namespace sluice
