#include "api/handlers/collection.hpp"

#include <algorithm>
#include <utility>

namespace sluice::api {

std::string query_value(const Call& call, std::string_view name) {
  std::string value;
  for (const auto& [key, text] : call.query) {
    if (key == name) value = text;
  }
  return value;
}

std::string root_url(const Call& call) {
  return call.request.scheme + "://" + call.request.host;
}

std::string collection_url(const Call& call) {
  return root_url(call).append(path_of(call.request.target));
}

Result<Reply> list_of(const Call& call, std::string_view plural, const boost::json::object& sample,
                      std::vector<boost::json::object> objects) {
  const auto query = ListQuery::parse(call.query, sample);
  if (!query) return tl::unexpected(query.error());
  if (query->follows_creation()) {
    const auto place_of = [&](const std::string& id) -> std::optional<std::size_t> {
      const auto found = std::ranges::find_if(
          objects, [&](const auto& object) { return object.at("id").as_string() == id; });
      if (found == objects.end()) return std::nullopt;
      return static_cast<std::size_t>(found - objects.begin());
    };
    const auto places = query->pick(objects.size(), place_of, [](std::size_t) { return true; });
    if (!places) return tl::unexpected(places.error());
    std::vector<boost::json::object> page;
    for (const auto place : *places) page.push_back(std::move(objects[place]));
    objects = std::move(page);
  }
  return list_of(call, plural, *query, std::move(objects));
}

Result<Reply> list_of(const Call& call, std::string_view plural, const ListQuery& query,
                      std::vector<boost::json::object> objects) {
  auto page = query.apply(std::move(objects), collection_url(call));
  if (!page) return tl::unexpected(page.error());
  const std::string name(plural);
  return Reply{200, boost::json::object{{name, std::move(page->objects)},
                                        {name + "_links", std::move(page->links)}}};
}

}  // namespace sluice::api
