#include "sluicectl/grammar/complete.hpp"

#include <algorithm>
#include <set>

#include "sluicectl/grammar/grammar.hpp"
#include "sluicectl/grammar/options.hpp"

namespace sluice::ctl {
namespace {

using Words = std::vector<std::string>;

// The words of the API's enums, by attribute. They only save typing: the server decides.
const std::map<std::string, Words>& vocabulary() {
  static const std::map<std::string, Words> words = {
      {"protocol", {"TCP", "UDP", "SCTP", "HTTP", "HTTPS", "PROXYV2"}},
      {"lb_algorithm",
       {"ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT", "MAGLEV"}},
      {"forwarding_mode", {"fullnat", "dnat", "dsr", "ipip", "gue"}},
      {"on_member_down", {"keep", "reset"}},
      {"on_no_member", {"drop", "reset"}},
      {"on_unmatched", {"drop", "reset"}},
      {"on_idle", {"forget", "reset"}},
      {"announce", {"always", "healthy"}},
      {"udp_scheduling", {"session", "packet"}},
      {"syn_authentication", {"auto", "always", "off"}},
      {"type", {"HTTP", "HTTPS", "TCP", "TLS-HELLO", "PING", "UDP-CONNECT", "SCTP", "EXTERNAL"}},
      {"http_method",
       {"GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH"}},
      {"http_version", {"1.0", "1.1"}},
      {"provisioning_status", {"ACTIVE", "ERROR"}},
      {"operating_status", {"ONLINE", "DEGRADED", "ERROR", "OFFLINE"}},
      {"proto", {"tcp", "udp", "sctp"}},
      {"event_kind", {"change", "refused", "denied", "health", "provisioning", "attachment"}},
      {"event_type",
       {"loadbalancer", "listener", "pool", "member", "healthmonitor", "floatingip", "quota",
        "node"}},
      {"format", {"table", "value", "json", "yaml", "csv"}},
  };
  return words;
}

Words first_words(const Noun* noun) {
  Words words;
  if (!noun) {
    words = {"lb", "floating"};
    for (const auto* each : nouns()) words.push_back(each->name);
    return words;
  }
  for (const auto& verb : noun->verbs) words.push_back(verb.name.substr(0, verb.name.find(' ')));
  if (noun == &load_balancer_noun())
    for (const auto* each : nouns())
      if (each->under_loadbalancer) words.push_back(each->name);
  return words;
}

const Option* option_named(const std::vector<Option>& options, const std::string& word) {
  for (const auto& option : options)
    if (word == "--" + option.name || (!short_name(option).empty() && word == short_name(option)))
      return &option;
  return nullptr;
}

// The options of all verbs are made once, because Typed points to them.
const std::vector<Option>& options_so_far(const Verb* verb) {
  static std::map<const Verb*, std::vector<Option>> made;
  auto [place, is_new] = made.try_emplace(verb);
  if (is_new)
    place->second = verb ? options_of(*verb) : global_options() + output_options(Output::listing);
  return place->second;
}

// Takes noun and verb off the front, as far as they are complete.
void recognise(Typed& typed) {
  auto& words = typed.words;
  auto& noun = typed.invocation.noun;
  auto& verb = typed.invocation.verb;
  const auto take = [&](std::size_t count) {
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count));
  };
  if (words.size() > 1 && words[0] == "floating" && words[1] == "ip") {
    noun = &floating_ip_noun();
    take(2);
  }
  for (int level = 0; level < 2 && !words.empty(); ++level) {
    if (noun && noun != &load_balancer_noun()) break;
    const auto name = words[0] == "lb" ? "loadbalancer" : words[0];
    for (const auto* each : nouns()) {
      if (each->name != name || (noun && !each->under_loadbalancer)) continue;
      noun = each;
      take(1);
      break;
    }
  }
  if (!noun) return;
  for (const auto& each : noun->verbs) {
    const auto space = each.name.find(' ');
    if (each.name.empty()) {
      verb = &each;
    } else if (space == std::string::npos && !words.empty() && words[0] == each.name) {
      verb = &each;
      take(1);
    } else if (words.size() > 1 && words[0] + " " + words[1] == each.name) {
      verb = &each;
      take(2);
    }
    if (verb) return;
  }
}

Words values_of(const Typed& typed, const Names& names) {
  const auto& option = *typed.awaiting;
  const auto* verb = typed.invocation.verb;
  if (option.resource) return names(*option.resource, {});
  if (option.name == "column" || option.name == "sort-column")
    return verb ? columns_of(*typed.invocation.noun, *verb) : Words();
  for (const auto* resource : {&load_balancer_resource(), &listener_resource(), &pool_resource()}) {
    const auto name = resource == &load_balancer_resource() ? "load-balancer" : resource->singular;
    if (option.kind == Kind::local && option.name == name) return names(*resource, {});
  }
  const auto known = vocabulary().find(option.attribute);
  return known == vocabulary().end() ? Words() : known->second;
}

Words objects(const Typed& typed, const Names& names) {
  const auto& positionals = typed.invocation.verb->positionals;
  if (typed.words.size() >= positionals.size()) return {};
  const auto& wanted = positionals[typed.words.size()];
  if (wanted.resource) return names(*wanted.resource, {});
  const auto* resource = typed.invocation.noun->resource;
  const bool is_address = typed.invocation.noun == &floating_ip_noun();
  if (!resource || (wanted.role != Role::target && !is_address)) return {};
  return names(*resource, typed.words.empty() ? "" : typed.words.front());
}

Words verb_words(const Typed& typed) {
  const auto* noun = typed.invocation.noun;
  if (typed.words.empty()) return first_words(noun);
  if (!noun) return typed.words.front() == "floating" ? Words{"ip"} : Words();
  Words second;
  for (const auto& verb : noun->verbs)
    if (verb.name.starts_with(typed.words.front() + " "))
      second.push_back(verb.name.substr(typed.words.front().size() + 1));
  return second;
}

Words unused_options(const Typed& typed) {
  Words words;
  for (const auto& option : options_so_far(typed.invocation.verb)) {
    const bool repeatable = option.kind == Kind::list || option.kind == Kind::add_tag ||
                            option.kind == Kind::drop_tag || option.kind == Kind::pairs_list ||
                            option.name.ends_with("column");
    if (repeatable || !typed.invocation.has(option.name)) words.push_back("--" + option.name);
  }
  return words;
}

}  // namespace

Typed read_typed(const Words& arguments) {
  Typed typed;
  if (arguments.empty()) return typed;
  typed.current = arguments.back();
  Words rest(arguments.begin(), arguments.end() - 1);
  // The verb decides which options there are, and the options which words are values. So words are
  // recognised first, with every option that any command takes.
  std::set<std::string> taking_values;
  for (const auto* noun : nouns())
    for (const auto& verb : noun->verbs)
      for (const auto& option : options_so_far(&verb))
        if (option.takes_value()) {
          taking_values.insert("--" + option.name);
          taking_values.insert(short_name(option));
        }
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == "=") continue;  // bash makes three words of --name=value
    if (rest[i].starts_with('-')) {
      i += taking_values.contains(rest[i]) && i + 1 < rest.size() && rest[i + 1] != "=" ? 1 : 0;
    } else if (i == 0 || rest[i - 1] != "=") {
      typed.words.push_back(rest[i]);
    }
  }
  recognise(typed);
  const auto& options = options_so_far(typed.invocation.verb);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    typed.awaiting = nullptr;
    const auto* option = option_named(options, rest[i]);
    if (!option) continue;
    auto& values = typed.invocation.options[option->name];
    if (!option->takes_value()) continue;
    if (i + 1 < rest.size() && rest[i + 1] == "=") ++i;
    if (i + 1 < rest.size()) {
      values.push_back(rest[++i]);
    } else {
      typed.awaiting = option;
    }
  }
  if (typed.awaiting && typed.current == "=") typed.current.clear();
  return typed;
}

Words candidates(const Typed& typed, const Names& names) {
  Words all;
  if (typed.awaiting) {
    all = values_of(typed, names);
  } else if (typed.current.starts_with('-')) {
    all = unused_options(typed);
  } else {
    all = typed.invocation.verb ? objects(typed, names) : verb_words(typed);
  }
  std::erase_if(all, [&](const auto& word) { return !word.starts_with(typed.current); });
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace sluice::ctl
