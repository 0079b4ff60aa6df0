#include "base/uuid.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/string_generator.hpp>
#include <stdexcept>

namespace sluice {

Uuid new_uuid() {
  return boost::uuids::random_generator()();
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  // string_generator also takes braces and a bare 32-digit form, which the API refuses.
  constexpr std::size_t canonical_length = 36;
  if (text.size() != canonical_length || text.front() == '{') return std::nullopt;
  try {
    return boost::uuids::string_generator()(text.begin(), text.end());
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

}  // namespace sluice
