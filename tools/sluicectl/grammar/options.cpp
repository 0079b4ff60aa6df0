#include "sluicectl/grammar/options.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::ctl {

Option option(Kind kind, std::string name, std::string value, std::string help,
              std::string attribute) {
  if (attribute.empty()) {
    attribute = name;
    std::replace(attribute.begin(), attribute.end(), '-', '_');
  }
  Option made;
  made.name = std::move(name);
  made.value = std::move(value);
  made.help = std::move(help);
  made.kind = kind;
  made.attribute = std::move(attribute);
  return made;
}

Option flag(Kind kind, std::string name, std::string help, std::string attribute) {
  return option(kind, std::move(name), {}, std::move(help), std::move(attribute));
}

Option reference(std::string name, const Resource& resource, std::string help,
                 std::string attribute) {
  auto made =
      option(Kind::reference, std::move(name), "NAME-OR-ID", std::move(help), std::move(attribute));
  made.resource = &resource;
  return made;
}

Option mandatory(Option option) {
  option.mandatory = true;
  return option;
}

Option wait_option() {
  return flag(Kind::local, "wait", "wait until the data plane holds the change");
}

Option enable_option() {
  return flag(Kind::flag_true, "enable", "administratively up", "admin_state_up");
}

Option disable_option() {
  return flag(Kind::flag_false, "disable", "administratively down", "admin_state_up");
}

std::vector<Option> filter_options(std::vector<Option> more) {
  const std::vector<Option> common = {
      option(Kind::text, "name", "NAME", "only objects of this name"),
      flag(Kind::flag_true, "enable", "only those that are administratively up", "admin_state_up"),
      flag(Kind::flag_false, "disable", "only those that are down", "admin_state_up"),
      option(Kind::text, "tags", "TAG[,TAG]", "only those with all these tags"),
      option(Kind::text, "any-tags", "TAG[,TAG]", "only those with any of these tags", "tags-any"),
      option(Kind::text, "not-tags", "TAG[,TAG]", "only those that lack one of these", "not-tags"),
      option(Kind::text, "not-any-tags", "TAG[,TAG]", "only those without any of these",
             "not-tags-any"),
  };
  return std::move(more) + common;
}

Option create_tags() {
  return option(Kind::list, "tag", "TAG", "a tag (repeat for more)", "tags");
}

std::vector<Option> set_tags() {
  return {option(Kind::add_tag, "tag", "TAG", "add a tag (repeat for more)", "tags"),
          flag(Kind::no_tags, "no-tag", "take all tags off (before --tag adds any)", "tags")};
}

std::vector<Option> unset_tags() {
  return {option(Kind::drop_tag, "tag", "TAG", "take this tag off (repeat for more)", "tags"),
          flag(Kind::no_tags, "all-tag", "take all tags off", "tags")};
}

std::vector<Option> operator+(std::vector<Option> left, const std::vector<Option>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Result<int> positive(const Call& call, const std::string& option, int otherwise) {
  if (!call.invocation.has(option)) return otherwise;
  const auto text = call.invocation.value(option);
  const bool digits =
      !text.empty() && text.size() < 7 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoi(text) == 0)
    return fail(ErrorKind::invalid,
                fmt::format("--{} '{}' is not a number from 1 on", option, text));
  return std::stoi(text);
}

Group exclusive(std::vector<std::string> options) {
  return {false, true, std::move(options)};
}
Group exactly_one(std::vector<std::string> options) {
  return {true, true, std::move(options)};
}
Group at_least_one(std::vector<std::string> options) {
  return {true, false, std::move(options)};
}

}  // namespace sluice::ctl
