#include "fleet/membership.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "fleet/spread.hpp"
#include "model/status.hpp"

namespace sluice::fleet {
namespace {

// A client that reads at once what it has changed, at any node, shall find it there.
constexpr auto longest_wait_for_others = std::chrono::milliseconds(300);

// Changes of health are gathered for so long, so that many of them cost a few writes.
constexpr auto gather_health = std::chrono::milliseconds(200);
// So are those that others tell.
constexpr auto gather_others_health = std::chrono::milliseconds(100);

std::string_view word(Standing standing) {
  switch (standing) {
    case Standing::connecting:
      return "CONNECTING";
    case Standing::following:
      return "FOLLOWING";
    case Standing::cut_off:
      return "CUT_OFF";
    case Standing::refused:
      return "REFUSED";
  }
  return "";
}

// Adds the objects of one table that the data plane has refused.
template <typename T>
void add_errors(NodeEntry& entry, const model::Table<T>& table) {
  for (const auto* object : table.with(model::Facet::unsettled)) {
    if (object->provisioning_status != model::ProvisioningStatus::error) continue;
    entry.errors_count++;
    if (entry.errors.size() < most_errors)
      entry.errors.emplace(object->id, object->provisioning_error);
  }
}

}  // namespace

Membership::Membership(Etcd& etcd, store::Writer& copy, const store::Contents& contents,
                       Settings settings, Event event)
    : etcd_(etcd),
      settings_(std::move(settings)),
      event_(std::move(event)),
      writer_(etcd, copy, contents,
              {.keys = settings_.keys,
               .node = settings_.node,
               .accept_older_state = settings_.accept_older_state}),
      roster_(settings_.keys),
      views_(settings_.keys),
      features_(settings_.keys),
      presence_(etcd, settings_.keys, event_),
      inquiry_(
          settings_.keys, settings_.node,
          static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                     std::chrono::milliseconds(1)),
          {.write = [this](const std::string& key,
                           std::string value) { presence_.tell(key, std::move(value)); },
           .others = [this] { return other_nodes(); },
           .count = [this](const Question& question) { return count_here(question); },
           .after = [this](std::chrono::milliseconds wait,
                           std::function<void()> then) { etcd_.after(wait, std::move(then)); }}),
      snat_claims_(
          etcd,
          {.keys = settings_.keys, .node = settings_.node, .addresses = settings_.snat_addresses},
          event_) {
  if (settings_.standby_group.empty()) return;
  group_.emplace(etcd, StandbyGroup::Settings{.keys = settings_.keys,
                                              .group = settings_.standby_group,
                                              .node = settings_.node,
                                              .instance = settings_.instance,
                                              .was_active = settings_.was_active});
}

void Membership::start(control::Controller& controller,
                       std::function<control::Announcing()> announcing) {
  controller_ = &controller;
  announcing_ = std::move(announcing);
  controller.on_change([this] {
    show();
    tell_health_soon();
    take_over_health_soon();
  });
  controller.set_before_answer([this](std::uint64_t generation, std::function<void()> go_on) {
    show();
    wait_for_others(generation, std::move(go_on));
  });
  writer_.start(
      {.changed_elsewhere = [this] { controller_->changed_elsewhere(); },
       .nodes_read = [this](std::int64_t revision,
                            const std::vector<KeyValue>& all) { nodes_read(revision, all); },
       .nodes_changed = [this](const std::vector<Change>& changes) { nodes_changed(changes); },
       .standing_changed = [this] { standing_changed(); },
       .event = event_});
  presence_.tell(settings_.keys.features() + settings_.node, known_features());
  if (group_) start_group();
  if (peer_keys_) peer_keys_->start();
  show();
  tell_health_soon();
}

// A node that is drained, or whose data plane is lost, leaves the VIPs to another one.
void Membership::start_group() {
  auto callbacks = std::move(standby_);
  callbacks.changed = [this, changed = std::move(callbacks.changed)](bool active) {
    changed(active);
    show();
  };
  callbacks.may_serve = [this, can_serve = std::move(callbacks.may_serve)] {
    return !controller_->model().drained_nodes.contains(settings_.node) &&
           !controller_->is_lost() && can_serve();
  };
  callbacks.event = event_;
  group_->start(std::move(callbacks));
}

void Membership::nodes_read(std::int64_t revision, const std::vector<KeyValue>& all) {
  roster_.reset(revision, all);
  views_.reset(revision, all);
  features_.reset(revision, all);
  inquiry_.reset(all);
  if (peer_keys_) peer_keys_->reset(revision, all);
  answer_those_that_may();
  nodes_may_be_others();
}

void Membership::nodes_changed(const std::vector<Change>& changes) {
  roster_.follow(changes);
  views_.follow(changes);
  features_.follow(changes);
  inquiry_.follow(changes);
  if (group_) group_->follow(changes);
  if (peer_keys_) peer_keys_->follow(changes);
  answer_those_that_may();
  nodes_may_be_others();
  const auto is_of_health = [this](const Change& change) {
    return change.entry.key.starts_with(settings_.keys.health());
  };
  if (std::ranges::any_of(changes, is_of_health)) take_over_health_soon();
}

void Membership::on_nodes_change(std::function<void()> changed) {
  when_nodes_change_.push_back(std::move(changed));
  when_nodes_change_.back()();
}

void Membership::nodes_may_be_others() {
  is_judged_ = false;
  if (is_following()) snat_claims_.follow(roster_.snat_addresses());
  std::set<std::string> spreading;
  if (writer_.standing() == Standing::following) {
    if (settings_.spread) spreading.insert(settings_.node);
    for (const auto& [name, node] : roster_.nodes()) {
      if (node.spreads && name != settings_.node) spreading.insert(name);
    }
  }
  if (spreading != spreading_) {
    spreading_ = std::move(spreading);
    probers_.clear();
    when_shares_change_();
    take_over_health_soon();
  }
  for (const auto& changed : when_nodes_change_) changed();
  look_at_peer_keys();
}

void Membership::use_peer_keys(std::string copy, PeerKeys::Callbacks callbacks) {
  callbacks.changed = [this] {
    show();
    look_at_peer_keys();
  };
  callbacks.event = event_;
  peer_keys_.emplace(etcd_, PeerKeys::Settings{settings_.keys, settings_.node, std::move(copy)},
                     std::move(callbacks));
}

void Membership::look_at_peer_keys() {
  if (peer_keys_ && writer_.standing() == Standing::following) peer_keys_->proceed(roster_);
}

void Membership::rotate_peer_key(std::function<void(Result<void>)> done) {
  if (!peer_keys_) {
    return done(fail(ErrorKind::conflict, "This node has no peers' key from etcd.",
                     "it takes one with --peer-listen and without --peer-key-file"));
  }
  if (writer_.standing() != Standing::following)
    return done(tl::unexpected(unavailable("nothing was changed: " + writer_.reason())));
  peer_keys_->exchange(roster_, std::move(done));
}

// While etcd can't be reached, nobody knows how the others are.
bool Membership::is_served_elsewhere(const model::LoadBalancer& object) const {
  if (writer_.standing() != Standing::following) return false;
  const auto generation = writer_.mirror().generation_of(object.id);
  const model::Relations relations(controller_->model());
  return std::ranges::any_of(views_.all(), [&](const auto& view) {
    const auto node = roster_.nodes().find(view.first);
    return view.first != settings_.node && node != roster_.nodes().end() &&
           node->second.announcing.state == "ANNOUNCING" && node->second.applied >= generation &&
           !node->second.errors.contains(object.id) &&
           model::has_usable_member(relations, object, [&](const Uuid& member) {
             return view.second.down.contains(member);
           });
  });
}

std::string Membership::lacks() const {
  const auto& head = writer_.mirror().head();
  const bool has_all = controller_ && writer_.standing() == Standing::following &&
                       (!head || controller_->applied_generation() >= head->generation);
  return has_all ? std::string() : "the fleet's state";
}

void Membership::wait_for_others(std::uint64_t generation, std::function<void()> go_on) {
  if (roster_.have_applied(generation, settings_.node)) return go_on();
  waiting_.push_back({generation, std::move(go_on)});
  etcd_.after(longest_wait_for_others, [this, generation] {
    while (!waiting_.empty() && waiting_.front().generation <= generation) {
      const auto late = std::move(waiting_.front());
      waiting_.pop_front();
      late.go_on();
    }
  });
}

void Membership::answer_those_that_may() {
  while (!waiting_.empty() && roster_.have_applied(waiting_.front().generation, settings_.node)) {
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    next.go_on();
  }
}

void Membership::standing_changed() {
  if (writer_.takes_changes()) controller_->store_takes_changes();
  show();
  nodes_may_be_others();
}

// Who is live keeps its key in etcd, which the removal compares, so that nobody is removed who has
// come back in this moment.
void Membership::remove_node(const std::string& name, std::function<void(Result<void>)> done) {
  const auto lives = [name] {
    return fail(ErrorKind::conflict, fmt::format("Node {} is live, so it can't be removed.", name),
                fmt::format("stop sluiced on {}, and try again ten seconds later", name));
  };
  if (roster_.nodes().contains(name)) return done(lives());
  if (writer_.standing() != Standing::following)
    return done(tl::unexpected(unavailable("nothing was removed: " + writer_.reason())));
  const auto& keys = settings_.keys;
  Transaction transaction{.key = keys.nodes() + name,
                          .expected = {},
                          .puts = {},
                          .removals = {keys.known_nodes() + name, keys.commit_of(name)},
                          .read_otherwise = {}};
  for (const auto& [address, owner] : roster_.snat_addresses()) {
    if (owner == name) transaction.removals.push_back(keys.snat_address(address));
  }
  etcd_.transact(std::move(transaction), [lives, done = std::move(done)](
                                             const Answer<TransactionReply>& answer) {
    if (!answer) return done(tl::unexpected(unavailable("remove a node: " + answer.error().text)));
    if (!answer->happened) return done(lives());
    done({});
  });
}

void Membership::show() {
  if (!controller_) return;
  const auto& model = controller_->model();
  NodeEntry entry{.name = settings_.node,
                  .instance = settings_.instance,
                  .version = settings_.version,
                  .applied = controller_->applied_generation(),
                  .errors = {},
                  .errors_count = 0,
                  .announcing = announcing(),
                  .peer = settings_.peer,
                  .spreads = settings_.spread,
                  .succeeds = true,
                  .peer_key = peer_keys_ ? peer_keys_->has() : 0,
                  .peer_key_used = peer_keys_ ? peer_keys_->seals_with() : 0};
  // Before it has read etcd's state, it has applied another one.
  if (writer_.standing() != Standing::following) entry.applied = 0;
  add_errors(entry, model.load_balancers);
  add_errors(entry, model.listeners);
  add_errors(entry, model.pools);
  add_errors(entry, model.members);
  add_errors(entry, model.health_monitors);
  add_errors(entry, model.floating_ips);
  presence_.show(std::move(entry));
}

// Without routes it is the standby group in which a node serves, or not.
control::Announcing Membership::announcing() const {
  auto announcing = announcing_();
  if (group_ && announcing.state == "LOCAL")
    announcing.state = group_->is_active() ? "ACTIVE" : "STANDBY";
  return announcing;
}

void Membership::tell_health_soon() {
  if (std::exchange(health_is_due_, true)) return;
  etcd_.after(gather_health, [this] {
    health_is_due_ = false;
    auto view = view_of(controller_->model(), controller_->health());
    if (settings_.spread) view.applied = controller_->applied_generation();
    presence_.tell(settings_.keys.health() + settings_.node, view.text());
  });
}

// Programs of EXTERNAL monitors are the nodes' own, and tell weights as well: every node runs its
// own.
std::vector<std::string> Membership::voters(const Uuid& member) const {
  const auto& model = controller_->model();
  const auto* object = model.members.lookup(member);
  const auto* monitor = object ? model::monitor_of(model, object->pool_id) : nullptr;
  const bool is_shared = monitor && monitor->type != model::MonitorType::external;
  std::vector<std::string> names(spreading_.begin(), spreading_.end());
  if (is_shared && names.size() > probers_of_a_member) {
    auto& known = probers_[member];
    if (known.empty()) known = probers(member, spreading_);
    names = known;
  }
  for (const auto& [name, node] : roster_.nodes()) {
    if (!spreading_.contains(name) && views_.all().contains(name)) names.push_back(name);
  }
  return names;
}

// While etcd can't be reached, each node is on its own.
bool Membership::probes(const Uuid& member) const {
  if (!settings_.spread || spreading_.empty()) return true;
  return std::ranges::count(voters(member), settings_.node) != 0;
}

std::size_t Membership::votes_that_it_is_down(const Uuid& member,
                                              const std::vector<std::string>& voters) const {
  const auto* own = controller_->health().lookup(member);
  return static_cast<std::size_t>(std::ranges::count_if(voters, [&](const std::string& name) {
    if (name == settings_.node) return own && *own == model::Health::down;
    const auto view = views_.all().find(name);
    return view != views_.all().end() && view->second.down.contains(member);
  }));
}

// As majority() does, but of those who probe the member.
model::HealthTable Membership::judgement_of_voters() const {
  const auto& own = controller_->health();
  std::set<Uuid> suspects;
  for (const auto& [id, health] : own) {
    if (health == model::Health::down) suspects.insert(id);
  }
  for (const auto& [name, view] : views_.all()) suspects.insert(view.down.begin(), view.down.end());
  auto judged = own;
  for (const auto& id : suspects) {
    const auto asked = voters(id);
    const bool is_down = 2 * votes_that_it_is_down(id, asked) > asked.size();
    if (is_down || own.lookup(id))
      judged.insert_or_assign(id, is_down ? model::Health::down : model::Health::up);
  }
  return judged;
}

void Membership::take_over_health_soon() {
  if (spreading_.size() <= probers_of_a_member || !settings_.spread ||
      std::exchange(taking_over_, true))
    return;
  etcd_.after(gather_others_health, [this] {
    taking_over_ = false;
    take_over_health();
  });
}

// Gives the controller the health of members that other nodes probe, by their majority.
void Membership::take_over_health() {
  if (spreading_.empty()) return;
  const auto& model = controller_->model();
  const model::Relations relations(model);
  model::HealthTable news;
  for (const auto& [id, member] : model.members) {
    if (!model::probed(relations, member)) continue;
    const auto asked = voters(id);
    if (std::ranges::count(asked, settings_.node) != 0) continue;
    const auto generation = writer_.mirror().generation_of(id);
    const auto knows = [&, id = id](const std::string& name) {
      const auto view = views_.all().find(name);
      return view != views_.all().end() && view->second.knows(id, generation);
    };
    if (std::ranges::none_of(asked, knows)) continue;
    const bool is_down = 2 * votes_that_it_is_down(id, asked) > asked.size();
    news.emplace(id, is_down ? model::Health::down : model::Health::up);
  }
  controller_->set_health(news);
}

std::set<std::string> Membership::other_nodes() const {
  std::set<std::string> names;
  for (const auto& [name, node] : roster_.nodes()) {
    if (name != settings_.node) names.insert(name);
  }
  return names;
}

std::vector<const HealthView*> Membership::other_views() const {
  std::vector<const HealthView*> views;
  if (writer_.standing() != Standing::following) return views;
  for (const auto& [name, view] : views_.all()) {
    if (name != settings_.node && roster_.nodes().contains(name)) views.push_back(&view);
  }
  return views;
}

Result<void> Membership::permits(const model::Model& before, const model::Model& after) const {
  const auto lacks = features_.lacking_at(other_nodes(), model::changes_between(before, after));
  if (lacks.empty()) return {};
  const auto node = lacks.substr(0, lacks.find(':'));
  return fail(ErrorKind::conflict,
              fmt::format("Node {} has an older version, which does not know {}.", node,
                          lacks.substr(node.size() + 2)),
              fmt::format("upgrade {}, or remove it from the fleet, and try again", node));
}

const model::HealthTable& Membership::health() const {
  const auto& own = controller_->health();
  if (is_judged_ && judged_from_.shares_all_with(own)) return judged_;
  judged_ = spreading_.empty() ? majority(own, other_views()) : judgement_of_voters();
  judged_from_ = own;
  is_judged_ = true;
  return judged_;
}

std::vector<control::HealthOpinion> Membership::opinions(const Uuid& member) const {
  std::vector<control::HealthOpinion> opinions;
  const auto* own = controller_->health().lookup(member);
  opinions.push_back({settings_.node, own ? std::optional(*own) : std::nullopt});
  if (writer_.standing() == Standing::following) {
    for (const auto& [name, view] : views_.all()) {
      if (name == settings_.node || !roster_.nodes().contains(name)) continue;
      control::HealthOpinion opinion{name, model::Health::up};
      if (view.down.contains(member)) opinion.health = model::Health::down;
      if (view.unknown.contains(member)) opinion.health.reset();
      opinions.push_back(std::move(opinion));
    }
  }
  if (!spreading_.empty()) {
    const auto asked = voters(member);
    std::erase_if(opinions,
                  [&](const auto& one) { return std::ranges::count(asked, one.node) == 0; });
  }
  std::ranges::sort(opinions, {}, &control::HealthOpinion::node);
  return opinions;
}

// While etcd is not there, nobody can be asked.
void Membership::count(std::set<Uuid> listeners, bool connections,
                       std::function<void(control::FleetCounts)> done) {
  if (writer_.standing() == Standing::following)
    return inquiry_.ask(std::move(listeners), connections, std::move(done));
  const auto others = other_nodes();
  done({.nodes = {}, .missing = {others.begin(), others.end()}});
}

control::NodeCounts Membership::count_here(const Question& question) const {
  control::NodeCounts counts;
  auto& data_plane = controller_->data_plane();
  for (const auto& id : question.listeners) {
    if (const auto counters = data_plane.listener_counters(id)) counts.listeners[id] = *counters;
  }
  if (!question.connections) return counts;
  if (const auto all = data_plane.all_listener_counters()) {
    for (const auto& [id, counters] : *all) counts.connections += counters.active_flows();
  }
  return counts;
}

control::FleetState Membership::state() const {
  control::FleetState state{.name = settings_.keys.prefix,
                            .state = std::string(word(writer_.standing())),
                            .reason = writer_.reason(),
                            .generation = 0,
                            .probe = settings_.spread ? "spread" : "every",
                            .nodes = {},
                            .gone = roster_.gone()};
  if (const auto& head = writer_.mirror().head()) state.generation = head->generation;
  if (peer_keys_) state.peer_key = peer_keys_->state(roster_);
  for (const auto& [name, node] : roster_.nodes()) {
    state.nodes.push_back({.name = name,
                           .version = node.version,
                           .is_this = name == settings_.node,
                           .announcing = name == settings_.node ? announcing() : node.announcing,
                           .applied = node.applied,
                           .errors = node.errors_count});
  }
  return state;
}

// While etcd can't be reached, nobody knows how the others are.
control::Elsewhere Membership::elsewhere(const Uuid& object) const {
  if (writer_.standing() != Standing::following) return {};
  return {.pending = !roster_.have_applied(writer_.mirror().generation_of(object), settings_.node),
          .error = roster_.error_of(object, settings_.node)};
}

}  // namespace sluice::fleet
