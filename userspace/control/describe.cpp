#include "control/describe.hpp"

#include <fmt/format.h>

namespace sluice::control {
namespace {

std::string describe(const char* kind, const model::Object& object) {
  return fmt::format("{} {}", kind, object.name.empty() ? to_string(object.id) : object.name);
}

}  // namespace

std::string describe_member(const model::Model& model, const Uuid& id) {
  const auto member = model.members.find(id);
  if (member == model.members.end()) return "member " + to_string(id);
  const auto pool = model.pools.find(member->second.pool_id);
  const auto text = fmt::format("{} ({}:{})", describe("member", member->second),
                                member->second.address.to_string(), member->second.protocol_port);
  return pool == model.pools.end() ? text : text + " of " + describe("pool", pool->second);
}

}  // namespace sluice::control
