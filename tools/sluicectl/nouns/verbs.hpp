// The verbs that every collection of the API has, so that a noun says only what is its own: which
// objects and options. What all have in common (--wait, --enable, tags, filters) is added here.
#pragma once

#include <string>
#include <vector>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

using Texts = std::vector<std::string>;
using Positionals = std::vector<Positional>;
using Options = std::vector<Option>;

// A noun's own conditions on its options are added to `groups` of the verb that is returned.
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
