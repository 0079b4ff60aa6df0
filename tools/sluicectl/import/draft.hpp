// Draft: the manifest that an import makes, and its comments.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "sluicectl/import/directive.hpp"
#include "sluicectl/import/import.hpp"
#include "sluicectl/manifest/item.hpp"

namespace sluice::ctl {

void set_value(Item& item, std::string_view field, boost::json::value value);

// Sets a field of the item's shape.
template <typename T>
void set(Item& item, std::string_view field, T&& value) {
  if constexpr (std::is_convertible_v<T, std::string_view>)
    set_value(item, field, boost::json::string(std::string_view(value)));
  else
    set_value(item, field, boost::json::value(std::forward<T>(value)));
}

Item make_listener(std::string_view protocol, std::int64_t port);
Item make_listener(std::string_view protocol, const PortRange& ports);
Item make_pool(std::string_view name, std::string_view protocol, std::string_view algorithm,
               std::string_view forwarding_mode);
Item make_member(const Place& place);

// The name under which an EXTERNAL monitor knows this program: its file's name. Empty if none can
// be made of it.
std::string name_of_check(std::string_view path);

class Draft {
 public:
  explicit Draft(const ImportSource& source) : source_(source) {}

  // A comment about a statement, or a part of it, that the manifest can't express.
  void lose(Directive& directive, const std::string& why);
  void lose(Directive& directive, const std::string& part, const std::string& why);
  // A comment about an effect of a statement that is in the manifest.
  void remark(Directive& directive, const std::string& what);

  // A comment about a program that a monitor runs: what is to be done on each node.
  void remark_check(Directive& directive, const std::string& name, const std::string& path);

  // Adds a listener with its pool to the load balancer of this VIP. A pool that is there already is
  // shared, another one of the same name gets a new name. Members of the other IP version become
  // comments: nothing says from which address they would be reached.
  void add(Directive& directive, const std::string& vip, Item listener, Item pool);
  // The VIP for a listening address; empty (and a comment) if it is for all addresses and none was
  // given.
  std::string vip_for(Directive& directive, const Place& place);

  // The comments and the manifest. Statements that nobody has told become comments, too.
  std::string manifest(std::vector<Directive>& statements);

 private:
  struct Comment {
    int first, last;
    std::string text;
  };
  void comment(const Directive& directive, const std::string& text);
  void lose_rest(std::vector<Directive>& statements);
  void lose_untranslatable(Directive& directive, const std::string& vip, Item& pool);

  const ImportSource& source_;
  std::vector<Comment> comments_;
  Item document_{&document_shape(), {}, {}, 0, {}, {}};
};

}  // namespace sluice::ctl
