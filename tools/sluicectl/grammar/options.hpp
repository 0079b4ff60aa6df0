// Short ways to write the options of the noun tables. The API's name of an attribute is the
// option's with underscores, unless given.
#pragma once

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

Option option(Kind kind, std::string name, std::string value, std::string help,
              std::string attribute = {});
Option flag(Kind kind, std::string name, std::string help, std::string attribute = {});
Option reference(std::string name, const Resource& resource, std::string help,
                 std::string attribute);
Option mandatory(Option option);

// --wait, which every verb that changes something has.
Option wait_option();

// --enable and --disable, of create, set and list; use them with exclusive({"enable", "disable"}).
Option enable_option();
Option disable_option();

// The filters of every noun's list: --name, --enable, --disable, --tags, --any-tags, --not-tags,
// --not-any-tags.
std::vector<Option> filter_options(std::vector<Option> more = {});

// The --tag family of create, set and unset.
Option create_tags();
std::vector<Option> set_tags();
std::vector<Option> unset_tags();

std::vector<Option> operator+(std::vector<Option> left, const std::vector<Option>& right);

// The value of an option of Kind::local that is a number from 1 on.
Result<int> positive(const Call& call, const std::string& option, int otherwise);

Group exclusive(std::vector<std::string> options);
Group exactly_one(std::vector<std::string> options);
Group at_least_one(std::vector<std::string> options);

}  // namespace sluice::ctl
