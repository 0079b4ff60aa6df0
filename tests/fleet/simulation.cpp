#include "tests/fleet/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "control/reconciler.hpp"
#include "model/edit.hpp"

namespace sluice::fleet::test {
namespace {

const Keys keys;

IpAddress address(std::size_t number) {
  return boost::asio::ip::make_address(fmt::format("10.0.0.{}", number));
}

IpAddress lowest_free(const model::Model& model) {
  std::set<IpAddress> taken;
  for (const auto& [id, other] : model.load_balancers) taken.insert(other.vip_address);
  std::size_t free = 1;
  while (taken.contains(address(free))) free++;
  return address(free);
}

const model::LoadBalancer* find(const model::Model& model, const std::string& name) {
  for (const auto& [id, load_balancer] : model.load_balancers) {
    if (load_balancer.name == name) return &load_balancer;
  }
  return nullptr;
}

std::size_t count(std::string_view text, std::string_view word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) found++;
  return found;
}

// What the node's clock says.
model::Timestamp now(const Node& node) {
  return std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now()) +
         node.clock_skew;
}

}  // namespace

Simulation::Simulation(std::uint64_t seed, std::size_t count, SimulationSettings settings)
    : scheduler(seed), etcd(scheduler), settings_(settings) {
  etcd.fault = settings.fault;
  etcd.on_change = [this](const auto& all) { check_vips(all); };
  for (std::size_t number = 0; number < count; number++) {
    nodes.push_back(std::make_unique<Node>());
    nodes.back()->name = fmt::format("lb{}", number + 1);
    nodes.back()->clock_skew = std::chrono::seconds(scheduler.below(7200)) - std::chrono::hours(1);
    nodes.back()->disk.contents.position.store = new_uuid();
    start(*nodes.back());
  }
}

Simulation::~Simulation() {
  for (const auto& node : nodes) crash(*node);
}

void Simulation::start(Node& node, bool accept_older_state) {
  if (node.controller) return;
  node.client = std::make_unique<FakeClient>(scheduler, etcd, weather);
  node.copy = std::make_unique<store::DirectWriter>(node.disk);
  node.writer = std::make_unique<ClusterWriter>(
      *node.client, *node.copy, node.disk.contents,
      ClusterWriter::Settings{.keys = keys,
                              .node = node.name,
                              .accept_older_state = accept_older_state,
                              .rehearses = settings_.rehearses});
  auto started = control::Controller::start(node.disk.contents, *node.writer, node.data_plane);
  if (!started) {
    node.refusal = started.error().text();
    wrong_.push_back(node.name + " does not start: " + node.refusal);
    node.client.reset();
    return;
  }
  node.controller = std::move(*started);
  const auto log = [&node](const std::string& line) { node.log.push_back(line); };
  node.controller->on_event(log);
  start_group(node);
  node.writer->start(
      {.changed_elsewhere = [&node] { node.controller->changed_elsewhere(); },
       .nodes_read = {},
       .nodes_changed = [&node](const auto& changes) { node.group->follow(changes); },
       .standing_changed =
           [&node] {
             if (node.writer->standing() == Standing::following)
               node.controller->store_takes_changes();
           },
       .event = [log](Tone, const std::string& line) { log(line); }});
}

// All nodes are on one link, which nothing cuts.
void Simulation::start_group(Node& node) {
  node.group = std::make_unique<StandbyGroup>(*node.client,
                                              StandbyGroup::Settings{.keys = keys,
                                                                     .group = "link",
                                                                     .node = node.name,
                                                                     .instance = node.name,
                                                                     .was_active = node.answers});
  node.group->start(
      {.changed = [&node](bool active) { node.answers = active; },
       .may_serve = [&node] { return node.may_serve; },
       .ask_link =
           [this, &node](const auto& answered) {
             answered(std::ranges::any_of(
                 nodes, [&](const auto& other) { return other.get() != &node && other->answers; }));
           },
       .event = [&node](Tone, const std::string& line) { node.log.push_back(line); }});
}

std::vector<std::string> Simulation::answering() const {
  std::vector<std::string> names;
  for (const auto& node : nodes) {
    if (node->answers) names.push_back(node->name);
  }
  return names;
}

void Simulation::crash(Node& node) {
  if (!node.controller) return;
  for (const auto& one : asked) {
    if (one->told == Asked::Told::nothing) one->told = Asked::Told::unknown;
  }
  node.client.reset();
  node.group.reset();
  node.controller.reset();
  node.writer.reset();
  node.copy.reset();
}

void Simulation::ask(Node& node, Asked what, control::Controller::Edit edit) {
  if (!node.controller) return;
  const auto one = std::make_shared<Asked>(std::move(what));
  asked.push_back(one);
  node.controller->submit(
      [controller = node.controller.get(), edit = std::move(edit)] {
        return controller->change(edit);
      },
      [one](const Result<void>& outcome) {
        if (one->told != Asked::Told::nothing && one->told != Asked::Told::unknown) std::abort();
        if (outcome) {
          one->told = Asked::Told::stored;
        } else if (outcome.error().message.starts_with("it is not known")) {
          one->told = Asked::Told::unknown;
        } else {
          one->told = Asked::Told::refused;
        }
      });
}

// Takes the lowest address that is free, as an allocation does.
void Simulation::create(Node& node) {
  if (!node.controller) return;
  const auto number = fmt::format("<{}>", asked.size());
  const auto too_early = lowest_free(node.controller->model());
  ask(node, {Asked::Kind::create, number, number},
      [=, time = now(node), fault = settings_.fault](model::Model& model) -> Result<void> {
        model::LoadBalancer load_balancer;
        load_balancer.name = number;
        load_balancer.vip_address = lowest_free(model);
        const auto id = model::add(model, load_balancer, time);
        if (!id) return tl::unexpected(id.error());
        if (fault == Fault::reserves_no_address)
          model.load_balancers.change(*id)->vip_address = too_early;
        model::Listener listener;
        listener.load_balancer_id = *id;
        listener.protocol_port = 80;
        const auto added = model::add(model, listener, time);
        return added ? Result<void>() : tl::unexpected(added.error());
      });
}

void Simulation::append(Node& node, const std::string& name) {
  const auto number = fmt::format("<{}>", asked.size());
  ask(node, {Asked::Kind::append, name, number},
      [name, number, time = now(node)](model::Model& model) -> Result<void> {
        const auto* found = find(model, name);
        if (!found) return fail(ErrorKind::not_found, "it is gone");
        auto load_balancer = *found;
        load_balancer.description += number;
        return model::replace(model, load_balancer, time);
      });
}

void Simulation::remove(Node& node, const std::string& name) {
  ask(node, {Asked::Kind::remove, name, ""},
      [name, time = now(node)](model::Model& model) -> Result<void> {
        const auto* found = find(model, name);
        if (!found) return fail(ErrorKind::not_found, "it is gone");
        return model::remove_load_balancer(model, found->id, true, time);
      });
}

void Simulation::ask_something() {
  auto& node = *nodes[scheduler.below(nodes.size())];
  if (!node.controller) return;
  const auto& present = node.controller->model().load_balancers;
  const auto dice = scheduler.below(100);
  if (present.size() == 0 || (dice < 40 && present.size() < 8)) return create(node);
  // By name, because ids are others in each run.
  std::set<std::string> names;
  for (const auto& [id, load_balancer] : present) names.insert(load_balancer.name);
  const auto name =
      *std::next(names.begin(), static_cast<std::ptrdiff_t>(scheduler.below(names.size())));
  if (dice < 80) return append(node, name);
  remove(node, name);
}

void Simulation::have_a_mishap() {
  auto& node = *nodes[scheduler.below(nodes.size())];
  const auto duration = scheduler.between(200, 8000);
  switch (scheduler.below(6)) {
    case 0:
      crash(node);
      return scheduler.after(duration, [this, &node] { start(node); });
    case 1:
      if (!node.client) return;
      node.client->partitioned = true;
      return scheduler.after(duration, [&node] {
        if (node.client) node.client->partitioned = false;
      });
    case 2:
      etcd.has_quorum = false;
      return scheduler.after(duration, [this] { etcd.has_quorum = true; });
    case 3:
      return etcd.compact(etcd.header().revision - static_cast<std::int64_t>(scheduler.below(3)));
    default:
      weather = {.lost_requests = static_cast<unsigned>(scheduler.below(15)),
                 .lost_answers = static_cast<unsigned>(scheduler.below(15)),
                 .late_requests = static_cast<unsigned>(scheduler.below(10)),
                 .repeated_requests = static_cast<unsigned>(scheduler.below(30)),
                 .broken_watches = static_cast<unsigned>(scheduler.below(20)),
                 .silent_watches = static_cast<unsigned>(scheduler.below(10))};
  }
}

void Simulation::live(Time how_long) {
  const auto end = scheduler.now() + how_long;
  auto next_mishap = scheduler.now() + scheduler.between(0, 2000);
  while (scheduler.now() < end) {
    scheduler.run_until(scheduler.now() + scheduler.between(0, 400));
    for (auto burst = scheduler.below(3) + 1; burst > 0; burst--) ask_something();
    if (scheduler.now() < next_mishap) continue;
    have_a_mishap();
    next_mishap = scheduler.now() + scheduler.between(200, 4000);
  }
}

void Simulation::settle() {
  weather = {};
  etcd.has_quorum = true;
  for (const auto& node : nodes) {
    start(*node);
    if (node->client) node->client->partitioned = false;
  }
  scheduler.run_until(scheduler.now() + Time(25'000));
  // What a failed commit had of statuses is stored after the next comparison with the maps.
  for (const auto& node : nodes) {
    if (node->controller && !node->controller->repair_drift())
      wrong_.push_back(node->name + ": its maps can't be compared");
  }
  scheduler.run_until(scheduler.now() + Time(2000));
}

// No two load balancers may have one VIP, not even for a moment.
void Simulation::check_vips(const std::map<std::string, KeyValue>& all) {
  std::map<std::string, std::string> owners;
  for (const auto& [key, entry] : all) {
    if (!key.starts_with(keys.objects() + "loadbalancer/")) continue;
    constexpr std::string_view name = R"("vip_address":")";
    const auto begin = entry.value.find(name) + name.size();
    const auto vip = entry.value.substr(begin, entry.value.find('"', begin) - begin);
    if (const auto [other, is_new] = owners.emplace(vip, key); !is_new)
      wrong_.push_back(fmt::format("{} belongs to {} and {}", vip, other->second, key));
  }
}

void Simulation::check_node(Node& node) {
  const auto wrong = [&](const std::string& what) { wrong_.push_back(node.name + ": " + what); };
  if (!node.controller) return wrong("it is down");
  if (node.writer->standing() != Standing::following)
    return wrong("it does not follow: " + node.writer->reason());
  const auto& model = node.controller->model();
  if (model != nodes[0]->controller->model()) wrong("it has another state than " + nodes[0]->name);
  if (node.disk.contents.model != model) wrong("its copy is another one");
  if (node.data_plane.state != control::desired_state(model, {}))
    wrong("its maps are not as desired");
  for (const auto& line : node.data_plane.violations) wrong(line);
  const auto* head = node.writer->mirror().head() ? &*node.writer->mirror().head() : nullptr;
  if (head && node.controller->applied_generation() != head->generation)
    wrong(fmt::format("it has applied {} of {}", node.controller->applied_generation(),
                      head->generation));
  if (node.data_plane.position != node.disk.contents.position)
    wrong("its maps note another position than its copy");
}

// One node answers for the VIPs, and it is the one that etcd names.
void Simulation::check_group() {
  const auto active = answering();
  if (active.size() != 1)
    return wrong_.push_back(fmt::format("[{}] answer for the VIPs", fmt::join(active, ", ")));
  const auto key = etcd.keys().find(keys.active_of("link"));
  if (key == etcd.keys().end() || key->second.value.find(active.front()) == std::string::npos)
    wrong_.push_back(active.front() + " answers for the VIPs, and etcd names another one");
  for (const auto& node : nodes) {
    if (node->group && node->group->active_node() != active.front())
      wrong_.push_back(node->name + " takes another node for the active one");
  }
}

void Simulation::check_promises(const model::Model& model) {
  std::set<std::string> perhaps_removed, removed;
  for (const auto& one : asked) {
    if (one->told == Asked::Told::nothing) wrong_.push_back(one->number + " was never answered");
    if (one->kind != Asked::Kind::remove) continue;
    if (one->told == Asked::Told::stored) removed.insert(one->name);
    if (one->told != Asked::Told::refused) perhaps_removed.insert(one->name);
  }
  for (const auto& one : asked) {
    if (one->kind == Asked::Kind::remove) continue;
    std::size_t found = 0;
    bool is_there = false;
    for (const auto& [id, load_balancer] : model.load_balancers) {
      const bool same = load_balancer.name == one->name;
      is_there = is_there || same;
      if (same)
        found +=
            one->kind == Asked::Kind::create ? 1 : count(load_balancer.description, one->number);
    }
    const auto what = fmt::format("{} of {}", one->number, one->name);
    if (found > 1) wrong_.push_back(fmt::format("{} has happened {} times", what, found));
    if (found > 0 && one->told == Asked::Told::refused)
      wrong_.push_back(what + " was refused, and has happened");
    if (found > 0 && removed.contains(one->name) && one->kind == Asked::Kind::create)
      wrong_.push_back(what + " was removed, and is there");
    if (found == 0 && one->told == Asked::Told::stored && !perhaps_removed.contains(one->name))
      wrong_.push_back(what + " was stored, and is lost");
  }
}

std::vector<std::string> Simulation::check() {
  for (const auto& node : nodes) check_node(*node);
  check_group();
  if (nodes[0]->controller) check_promises(nodes[0]->controller->model());
  return wrong_;
}

}  // namespace sluice::fleet::test
