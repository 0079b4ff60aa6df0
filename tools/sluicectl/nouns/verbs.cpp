#include "sluicectl/nouns/verbs.hpp"

#include <utility>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/crud.hpp"

namespace sluice::ctl {
namespace {

Verb verb_of(std::string name, std::string summary, Positionals positionals, Options options,
             Texts examples) {
  Verb verb{.name = std::move(name), .summary = std::move(summary)};
  verb.positionals = std::move(positionals);
  verb.options = std::move(options);
  verb.examples = std::move(examples);
  return verb;
}

Verb printing(Verb verb, Output output, Handler run) {
  verb.output = output;
  verb.run = run;
  return verb;
}

const Options states = {enable_option(), disable_option()};

}  // namespace

Verb with_groups(Verb verb, const std::vector<Group>& groups) {
  verb.groups.insert(verb.groups.end(), groups.begin(), groups.end());
  return verb;
}

Verb create_verb(std::string summary, Positionals positionals, Options options, Texts examples) {
  auto all = std::move(options) + states + Options{create_tags(), wait_option()};
  auto verb = verb_of("create", std::move(summary), std::move(positionals), std::move(all),
                      std::move(examples));
  return printing(with_groups(std::move(verb), {exclusive({"enable", "disable"})}), Output::record,
                  create);
}

Verb list_verb(std::string summary, Positionals positionals, Options filters, Texts examples) {
  auto verb = verb_of("list", std::move(summary), std::move(positionals),
                      filter_options(std::move(filters)), std::move(examples));
  return printing(with_groups(std::move(verb), {exclusive({"enable", "disable"})}), Output::listing,
                  list);
}

Verb show_verb(Positionals positionals, Texts examples) {
  auto verb =
      verb_of("show", "everything about one", std::move(positionals), {}, std::move(examples));
  return printing(std::move(verb), Output::record, show);
}

Verb set_verb(std::string summary, Positionals positionals, Options options, Texts examples) {
  auto all = std::move(options) + states + set_tags() + Options{wait_option()};
  auto verb = verb_of("set", std::move(summary), std::move(positionals), std::move(all),
                      std::move(examples));
  return printing(with_groups(std::move(verb), {exclusive({"enable", "disable"})}), Output::record,
                  set);
}

Verb unset_verb(Positionals positionals, Options defaults, Texts examples) {
  auto all = std::move(defaults) + unset_tags() + Options{wait_option()};
  auto verb = verb_of("unset", "take attributes back to their defaults", std::move(positionals),
                      std::move(all), std::move(examples));
  return printing(std::move(verb), Output::record, set);
}

Verb delete_verb(std::string summary, Positionals positionals, Options options, Texts examples) {
  auto all = std::move(options) + Options{wait_option()};
  auto verb = verb_of("delete", std::move(summary), std::move(positionals), std::move(all),
                      std::move(examples));
  return printing(std::move(verb), Output::none, remove);
}

Verb stats_verb(Positionals positionals) {
  auto verb = verb_of("stats show", "connections and bytes", std::move(positionals), {}, {});
  verb.columns = stats_rows();
  return printing(std::move(verb), Output::record, show_stats);
}

}  // namespace sluice::ctl
