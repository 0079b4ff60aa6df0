// Attributes: reads one object of a request body, attribute by attribute, into a model object.
//
//   Attributes in(*object, Purpose::create, "listener_.listener");
//   in.text("name", listener.name);
//   in.required_integer("protocol_port", listener.protocol_port, model::port_range);
//   if (auto read = in.finish(); !read) return ...;
//
// The rules are the API's. An absent attribute keeps its value (so a new object shows its default);
// null restores the default. Integers may be numeric strings, and fractions are cut off; booleans
// may be words; enums are case-sensitive. An attribute that nobody read is an error, and so is, on
// update, one that can only be given at creation.
//
// The first error sticks, and later reads change nothing; finish() tells.
#pragma once

#include <boost/json/object.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/language/message.hpp"
#include "base/ip_address.hpp"
#include "base/ip_network.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "model/limits.hpp"

namespace sluice::api {

// Quotes a value as the API's texts do: strings bare, the rest as Python prints it.
std::string quoted(const boost::json::value& value);

enum class Purpose { create, update };

// Unwraps {"listener": {...}}; `argument` is what the real service calls the body in its texts
// ("listener_").
Result<boost::json::object> unwrap(const Request& request, std::string_view argument,
                                   std::string_view wrapper);

// The same for {"members": [...]}: returns the whole body, in which the wrapper is known to be.
Result<boost::json::object> unwrap_list(const Request& request, std::string_view argument,
                                        std::string_view wrapper);

class Attributes {
 public:
  // `where` names the object in "Unknown attribute for argument ...".
  Attributes(const boost::json::object& object, Purpose purpose, std::string where);

  bool creating() const { return purpose_ == Purpose::create; }
  // Says whether there is a value other than null.
  bool given(std::string_view name) const;
  // Says whether the attribute is there, also as null.
  bool contains(std::string_view name) const { return object_.contains(name); }

  void text(std::string_view name, std::string& target,
            std::size_t longest = model::max_text_length, std::string_view fallback = {});
  void optional_text(std::string_view name, std::optional<std::string>& target,
                     std::size_t longest = model::max_text_length);
  void boolean(std::string_view name, bool& target, bool fallback);
  void tags(std::string_view name, std::vector<std::string>& target);

  template <std::integral T>
  void integer(std::string_view name, T& target, model::Range range, T fallback) {
    if (auto value = read_integer(name, range, Null::means_default)) {
      target = value->has_value() ? static_cast<T>(**value) : fallback;
    }
  }
  template <std::integral T>
  void required_integer(std::string_view name, T& target, model::Range range) {
    if (!require(name)) return;
    if (auto value = read_integer(name, range, Null::is_wrong)) target = static_cast<T>(**value);
  }
  template <std::integral T>
  void optional_integer(std::string_view name, std::optional<T>& target, model::Range range) {
    if (auto value = read_integer(name, range, Null::means_default)) {
      target.reset();
      if (*value) target = static_cast<T>(**value);
    }
  }

  // `typed` gets the request's text if the address prints differently, and is empty otherwise.
  void required_address(std::string_view name, IpAddress& target, std::string* typed = nullptr);
  void optional_address(std::string_view name, std::optional<IpAddress>& target,
                        std::string* typed = nullptr);
  void networks(std::string_view name, std::vector<IpNetwork>& target);
  // Repetitions are left to the object's check.
  void addresses(std::string_view name, std::vector<IpAddress>& target);
  void required_id(std::string_view name, Uuid& target);
  void optional_id(std::string_view name, std::optional<Uuid>& target);

  // Reads one of the API's words. A word that `parse` doesn't know is not supported by this
  // version.
  template <typename Enum>
  using Parse = std::optional<Enum> (*)(std::string_view);
  template <typename Enum>
  void required_choice(std::string_view name, Enum& target, std::span<const std::string_view> words,
                       Parse<Enum> parse) {
    if (require(name)) choice(name, target, words, parse, std::optional<Enum>{});
  }
  template <typename Enum>
  void choice(std::string_view name, Enum& target, std::span<const std::string_view> words,
              Parse<Enum> parse, std::optional<Enum> fallback) {
    const auto known = [&](std::string_view word) { return parse(word).has_value(); };
    const auto null = fallback ? Null::means_default : Null::is_wrong;
    if (auto word = read_word(name, words, known, null))
      target = *word ? *parse(**word) : *fallback;
  }
  // The same for a word that the model keeps as text.
  void word(std::string_view name, std::string& target, std::span<const std::string_view> words,
            std::string_view fallback);

  // Calls `read` with the attributes of the object, if there is one, or of each object in the list.
  using ReadNested = std::function<void(Attributes& nested)>;
  void object(std::string_view name, const ReadNested& read);
  void objects(std::string_view name, const ReadNested& read);

  // Says whether the attribute asks for something: it isn't null, false, "" or an empty list or
  // object.
  bool asks(std::string_view name);
  // Refuses the attribute if it asks for something, because this version doesn't support it.
  void unsupported(std::string_view name, std::string_view hint);
  // Checks project_id and tenant_id and then ignores them, because they follow from the parent.
  void project();
  // Accepts any value of an attribute that the API has but that means nothing here.
  void ignore(std::string_view name);
  // Returns the value, null if the attribute is absent, for callers that apply rules of their own.
  const boost::json::value* take(std::string_view name);
  // Keeps the first error.
  void refuse(Error error);
  bool refused() const { return error_.has_value(); }

  Result<void> finish() const;

 private:
  enum class Null { means_default, is_wrong };
  // Outer nullopt: the target keeps its value. Inner nullopt: null was given.
  using Integer = std::optional<std::optional<std::int64_t>>;
  using Word = std::optional<std::optional<std::string>>;

  bool require(std::string_view name);
  void nest(std::string_view name, const boost::json::value& value, const ReadNested& read);
  Integer read_integer(std::string_view name, model::Range range, Null null);
  Word read_text(std::string_view name, std::size_t longest);
  Word read_word(std::string_view name, std::span<const std::string_view> words,
                 const std::function<bool(std::string_view)>& known, Null null);

  const boost::json::object& object_;
  Purpose purpose_;
  std::string where_;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

}  // namespace sluice::api
