// The vocabulary of the command line: nouns have verbs, verbs have positionals and options.
//
// Every noun is described once, in its own file (loadbalancer.cpp, listener.cpp, ...); the parser,
// the help and the requests to the API are all generated from that description.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "sluicectl/output/format.hpp"

namespace sluice::ctl {

class Client;

// One collection of the API and how it is shown.
struct Resource {
  std::string singular = {};    // in sentences: "load balancer"
  std::string wrapper = {};     // the key around one object: "loadbalancer"
  std::string collection = {};  // the key around many: "loadbalancers"
  std::string path = {};        // "/v2.0/lbaas/loadbalancers"; "{}" stands for the parent's id
  std::string command = {};     // the noun as typed: "loadbalancer"
  std::string key = "name";     // the attribute that may name an object instead of its id
  std::vector<std::string> rows = {};           // of a show table, in order
  std::vector<std::string> optional_rows = {};  // after them, only when the answer has a value
  std::vector<std::string> columns = {};        // of a list, in order
  // The attributes of columns with other names: {"ID", "id"}.
  std::map<std::string, std::string> attributes = {};
};

// The type of an option's value, which decides what is sent.
enum class Kind {
  text,
  integer,
  ports,  // "80", or "FIRST-LAST", whose second number is sent as another attribute: NAME_range
  decimal,
  upper,       // a word of the API's enums: upper-cased before it is sent
  lower,       // likewise, lower-cased
  list,        // repeatable text, sent as an array
  pairs,       // "key=value,key=value", sent as an object
  pairs_list,  // repeatable pairs, sent as an array; "subnet-id" may be a name
  reference,   // a name or id of `resource`, sent as its id
  flag_true,
  flag_false,
  flag_null,  // takes the attribute back to its default
  add_tag,    // set: the current tags and these
  drop_tag,   // unset: the current tags without these
  no_tags,    // set and unset: none at all
  local,      // for the handler only; a flag when `value` is empty
};

struct Option {
  std::string name = {};   // without the dashes
  std::string value = {};  // what help calls its value; empty for flags
  std::string help = {};
  Kind kind = Kind::text;
  std::string attribute = {};  // the API's name for it
  bool mandatory = false;
  const Resource* resource = nullptr;  // of a Kind::reference

  bool takes_value() const { return !value.empty(); }
};

// A condition on options: at least one, at most one or exactly one of them must be given.
struct Group {
  bool at_least_one = false;
  bool at_most_one = false;
  std::vector<std::string> options = {};
};

enum class Role {
  target,     // the object that the verb is about
  parent,     // its id is a part of the path
  attribute,  // its id is sent as an attribute
  plain,      // passed to the handler as typed
};

struct Positional {
  std::string name = {};  // as help shows it: "POOL"
  Role role = Role::plain;
  const Resource* resource = nullptr;
  std::string attribute = {};  // of Role::attribute
  bool is_optional = false;    // so are those after it

  // As help shows it: "[NODE]" if it may be left out.
  std::string shown() const { return is_optional ? "[" + name + "]" : name; }
};

// The kind of a verb's answer.
enum class Output { none, record, listing, tree };

struct Call;
using Handler = Result<Answer> (*)(const Call&);

struct Verb {
  std::string name = {};  // one or two words; empty when the noun alone is the command
  std::string summary = {};
  std::vector<Positional> positionals = {};
  std::vector<Option> options = {};
  std::vector<Group> groups = {};
  Output output = Output::none;
  std::vector<std::string> columns = {};  // that -c may name
  Handler run = nullptr;
  std::vector<std::string> examples = {};
};

struct Noun {
  std::string name = {};
  std::string summary = {};
  bool under_loadbalancer = false;  // also reached as "loadbalancer NAME"
  const Resource* resource = nullptr;
  std::vector<Verb> verbs = {};

  // As help spells it: "loadbalancer listener".
  std::string full_name() const { return under_loadbalancer ? "loadbalancer " + name : name; }
};

// A valid command line.
struct Invocation {
  enum class Request { run, help, version };
  Request request = Request::run;
  const Noun* noun = nullptr;
  const Verb* verb = nullptr;
  std::map<std::string, std::string> positionals;           // by Positional::name
  std::map<std::string, std::vector<std::string>> options;  // by Option::name; flags map to {}

  bool has(const std::string& option) const { return options.contains(option); }
  // The positional's value; empty if it was left out.
  std::string positional(const std::string& name) const;
  // The last value given for the option; empty when there is none.
  std::string value(const std::string& option) const;
  const std::vector<std::string>& values(const std::string& option) const;
};

// The columns that -c may choose for the verb.
std::vector<std::string> columns_of(const Noun& noun, const Verb& verb);

// The output of a verb that shows more than one answer.
struct Display {
  std::function<void(const std::string&)> show;
  std::function<void(std::chrono::milliseconds)> sleep;
  bool is_terminal = false;
  // Says whether Ctrl-C (SIGINT, SIGTERM) was pressed. From the first call on it doesn't end the
  // program.
  std::function<bool()> is_interrupted;
  // Asks a question and returns the line that is typed; nullopt if stdin is not a terminal.
  std::function<std::optional<std::string>(const std::string&)> ask = {};
};

// A handler's argument.
struct Call {
  Client& client;
  const Noun& noun;
  const Verb& verb;
  const Invocation& invocation;
  const Display& display;
};

// Every noun, in the order of the help.
const std::vector<const Noun*>& nouns();

const Resource& load_balancer_resource();
const Resource& listener_resource();
const Resource& pool_resource();
const Resource& member_resource();
const Resource& health_monitor_resource();
const Resource& network_resource();
const Resource& subnet_resource();
const Resource& port_resource();

const Noun& load_balancer_noun();
const Noun& listener_noun();
const Noun& pool_noun();
const Noun& member_noun();
const Noun& health_monitor_noun();
const Noun& provider_noun();
const Noun& quota_noun();
const Noun& network_noun();
const Noun& subnet_noun();
const Noun& floating_ip_noun();
const Noun& node_noun();
const Noun& cluster_noun();
const Noun& peer_noun();
const Noun& drops_noun();
const Noun& events_noun();
const Noun& flows_noun();
const Noun& explain_noun();
const Noun& capture_noun();
const Noun& top_noun();
const Noun& apply_noun();
const Noun& backup_noun();
const Noun& restore_noun();
const Noun& bundle_noun();
const Noun& export_noun();
const Noun& import_noun();
const Noun& openrc_noun();
const Noun& clouds_yaml_noun();

}  // namespace sluice::ctl
