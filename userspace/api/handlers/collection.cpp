#include "api/handlers/collection.hpp"

#include <fmt/format.h>

namespace sluice::api {

std::string query_value(const Call& call, std::string_view name) {
  std::string value;
  for (const auto& [key, text] : call.query) {
    if (key == name) value = text;
  }
  return value;
}

std::string collection_url(const Call& call) {
  const auto& target = call.request.target;
  return "http://" + call.request.host + target.substr(0, target.find('?'));
}

Result<void> check_subnet(const Call& call, const std::optional<std::string>& subnet) {
  const auto& networks = call.context.controller.networks();
  if (!subnet || networks.empty()) return {};
  const auto id = parse_uuid(*subnet);
  if (id && networks.find_subnet(*id) != nullptr) return {};
  return fail(ErrorKind::invalid, fmt::format("Subnet {} not found.", *subnet));
}

Result<Reply> list_of(const Call& call, std::string_view plural, const boost::json::object& sample,
                      std::vector<boost::json::object> objects) {
  const auto query = ListQuery::parse(call.query, sample);
  if (!query) return tl::unexpected(query.error());
  auto page = query->apply(std::move(objects), collection_url(call));
  if (!page) return tl::unexpected(page.error());
  const std::string name(plural);
  return Reply{200, boost::json::object{{name, std::move(page->objects)},
                                        {name + "_links", std::move(page->links)}}};
}

}  // namespace sluice::api
