// Verbs of every collection of the API. A noun gives its own objects and options; the common ones
// (--wait, --enable, tags, filters) are added here.
#pragma once

#include <string>
#include <vector>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

using Texts = std::vector<std::string>;
using Positionals = std::vector<Positional>;
using Options = std::vector<Option>;

// A noun adds conditions on its options to the `groups` of the verb that is returned.
Verb create_verb(std::string summary, Positionals, Options, Texts examples = {});
Verb list_verb(std::string summary, Positionals, Options filters = {}, Texts examples = {});
Verb show_verb(Positionals, Texts examples = {});
Verb set_verb(std::string summary, Positionals, Options, Texts examples = {});
// `defaults`: flags of Kind::flag_null.
Verb unset_verb(Positionals, Options defaults, Texts examples = {});
Verb delete_verb(std::string summary, Positionals, Options = {}, Texts examples = {});
Verb stats_verb(Positionals);

Verb with_groups(Verb verb, const std::vector<Group>& groups);

}  // namespace sluice::ctl
