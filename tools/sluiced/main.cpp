// sluiced: Sluice's controller. main() starts its parts in order; all else happens on the event
// loop.
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>

#include "address_holders.hpp"
#include "api/server/server.hpp"
#include "attachment/attachment.hpp"
#include "attachment/look.hpp"
#include "base/thread_cpu_time.hpp"
#include "base/version.hpp"
#include "control/controller.hpp"
#include "control/follower.hpp"
#include "control/vip_routes.hpp"
#include "dataplane/bpf_data_plane.hpp"
#include "dataplane/hash_key.hpp"
#include "dataplane/slow_lane.hpp"
#include "fleet/etcd_client.hpp"
#include "fleet/membership.hpp"
#include "health/check_helper.hpp"
#include "health/external_prober.hpp"
#include "kernel/pin_lock.hpp"
#include "kernel/program.hpp"
#include "logging.hpp"
#include "maintenance.hpp"
#include "network/neighbor_keeper.hpp"
#include "network/routes.hpp"
#include "network/vlans.hpp"
#include "network/vrrp_fifo.hpp"
#include "network/watcher.hpp"
#include "notice_reader.hpp"
#include "options.hpp"
#include "peering.hpp"
#include "pin_watch.hpp"
#include "privileges.hpp"
#include "recording.hpp"
#include "service_manager.hpp"
#include "snat_keeper.hpp"
#include "store/sqlite_store.hpp"
#include "store/writer.hpp"
#include "test_hook.hpp"
#include "vip_probes.hpp"

namespace sluice::daemon {
namespace {

// Says what `sluice-loader attach` says first: what will be slower, or won't work. What can't be
// looked at is no reason not to attach.
void warn_of_interfaces(const Options& options) {
  const auto looked = attachment::look_at(options.interfaces, options.pin_directory);
  if (!looked) return;
  for (const auto& one : *looked) {
    if (one.finding.verdict != attachment::Verdict::ok) spdlog::warn("{}", one.text());
  }
}

// Attaches the NICs of --interface; those that are attached already stay as they are.
Result<void> attach(const Options& options) {
  if (options.interfaces.empty()) return {};
  warn_of_interfaces(options);
  const auto report = attachment::attach({.pin_directory = options.pin_directory,
                                          .interfaces = options.interfaces,
                                          .flows = options.flows});
  if (!report) return tl::unexpected(report.error());
  for (const auto& nic : report->nics) {
    if (nic.already_attached) continue;
    spdlog::info("attached to {} in {} mode", nic.interface, to_string(nic.mode));
    if (!nic.native_refusal.empty()) {
      spdlog::warn("{} runs in generic (slower) mode because native was refused: {}", nic.interface,
                   nic.native_refusal);
    }
  }
  return {};
}

// Opens the pinned data plane, or loads one, and sets what it takes from the configuration: the
// hash key by which members are chosen, and the sources of tunnels.
Result<std::unique_ptr<dataplane::BpfDataPlane>> open_data_plane(const Options& options,
                                                                 dataplane::SlowLane& lane) {
  auto data_plane = dataplane::BpfDataPlane::open(
      options.pin_directory, options.flows.value_or(kernel::LoadOptions{}.flows), &lane);
  if (!data_plane) return data_plane;
  const auto hash_key = dataplane::read_or_make_hash_key(options.hash_key_file);
  if (!hash_key) return tl::unexpected(hash_key.error());
  if (auto set = (*data_plane)->set_hash_key(*hash_key); !set)
    return tl::unexpected(std::move(set.error()));
  if (auto set = (*data_plane)->set_tunnel_sources(options.tunnel_sources); !set)
    return tl::unexpected(std::move(set.error()));
  return data_plane;
}

// Tells the data plane the tags of VLAN interfaces, for members in VLANs. `warned`: the interfaces
// for which there was no place last time, so that each is logged once.
void follow_vlans(dataplane::BpfDataPlane& data_plane, std::vector<std::uint32_t>& warned) {
  const auto interfaces = network::vlan_interfaces();
  if (!interfaces) return spdlog::error("list the VLAN interfaces: {}", interfaces.error().text());
  std::vector<attachment::InterfaceSlots::Vlan> vlans;
  for (const auto& one : *interfaces)
    vlans.push_back({one.index, one.parent, one.id, one.ethertype});
  auto left_out = data_plane.set_vlans(vlans);
  if (!left_out) return spdlog::error("note the VLAN interfaces: {}", left_out.error().text());
  for (const auto& one : *interfaces) {
    if (!std::count(left_out->begin(), left_out->end(), one.index) ||
        std::count(warned.begin(), warned.end(), one.index))
      continue;
    spdlog::warn(
        "members behind {} can't be reached: its interface index {} falls on the place of another "
        "one (recreate it, to get another index)",
        one.name, one.index);
  }
  warned = std::move(*left_out);
}

void renew_next_hops(dataplane::BpfDataPlane& data_plane, network::NeighborKeeper& neighbors,
                     std::vector<std::uint32_t>& warned_vlans) {
  spdlog::debug("routes, links or neighbours changed: next hops are looked up anew");
  if (const auto macs = data_plane.refresh_interface_macs(); !macs) {
    spdlog::error("read the NICs' MACs: {}", macs.error().text());
  }
  follow_vlans(data_plane, warned_vlans);
  if (const auto renewed = data_plane.renew_next_hops(); !renewed) {
    spdlog::error("renew the next hops: {}", renewed.error().text());
  }
  neighbors.renew();
}

// Logs who changed what, and every fault of our own; requests that only read are not logged.
void log_exchange(const api::Exchange& exchange) {
  if (!exchange.internal_error.empty()) {
    spdlog::error("{} {} failed: {} ({})", exchange.method, exchange.target,
                  exchange.internal_error, exchange.request_id);
  }
  if (exchange.method == "GET" || exchange.method == "HEAD") return;
  const auto& peer = exchange.peer;
  const auto from = peer.address.empty() ? fmt::format("pid {}", peer.pid) : peer.address;
  spdlog::info("{} ({}): {} {} -> {} ({})", exchange.who, from, exchange.method, exchange.target,
               exchange.status, exchange.request_id);
}

// Logs a caller who was denied.
void log_denied(const api::Denied& denied) {
  spdlog::warn("{}: {} {} -> {}: {}", denied.peer.address, denied.method, denied.target,
               denied.status, denied.reason);
  if (denied.unreported != 0) {
    spdlog::warn("{} more requests were turned away since the last one that was told",
                 denied.unreported);
  }
}

void log_endpoints(const api::Endpoints& endpoints) {
  if (const auto& tcp = endpoints.tcp) {
    const auto where = tcp->socket.address().to_string();
    spdlog::info("serves {}://{}", tcp->tls ? "https" : "http", where);
    if (!tcp->access.wants_credentials()) {
      spdlog::warn(
          "every user of this machine may change load balancers over {} (--token-file "
          "lets in holders of a token only)",
          where);
    }
  }
  if (const auto& metrics = endpoints.metrics) {
    spdlog::info("serves http://{}/metrics", metrics->address().to_string());
  }
}

api::Event event_about(const model::Model& model, std::string_view kind, std::string what,
                       const Uuid* member) {
  const auto found = member ? model.members.find(*member) : model.members.end();
  return api::about_member(kind, std::move(what),
                           found == model.members.end() ? nullptr : &found->second);
}

// Reads the events from before the restart. If they can't be read, sluiced starts without them.
void take_stored_events(api::Events& events, store::Store& store) {
  const auto stored = store.events({.limit = api::Events::capacity});
  if (!stored) return spdlog::error("read the events: {}", stored.error().text());
  events.take_stored(*stored);
}

// Runs the loop until it is stopped. Waiting takes no CPU time, so a turn's end is the next one's
// beginning.
void run(boost::asio::io_context& loop, TurnTimes& turns) {
  auto before = thread_cpu_time();
  while (loop.run_one() != 0) {
    const auto now = thread_cpu_time();
    turns.add(now - before);
    before = now;
  }
}

// The time after which work of the controller goes on in another turn. A turn takes somewhat
// longer, because parts of the work can't be divided.
constexpr auto longest_slice = std::chrono::milliseconds(5);

// The time that the disk may take for the last changes. A service manager kills a daemon that takes
// much longer, and others wait for its end.
constexpr auto patience_with_the_disk = std::chrono::seconds(10);

// Ends without waiting for the thread that waits for the disk. The kernel may keep that thread
// until the disk goes on, but nothing else.
[[noreturn]] void leave_at_once() {
  spdlog::shutdown();
  std::_Exit(failed);
}

// Opens keepalived's FIFO, with --vrrp-fifo.
Result<std::optional<network::VrrpFifo>> open_vrrp_fifo(boost::asio::io_context& loop,
                                                        const Options& options) {
  if (options.vrrp_fifo.empty()) return std::nullopt;
  auto fifo = network::VrrpFifo::open(loop.get_executor(), options.vrrp_fifo);
  if (!fifo) return tl::unexpected(std::move(fifo.error()));
  spdlog::info("keepalived decides who answers for VIPs ({}): {}", options.vrrp_fifo.string(),
               fifo->is_active() ? "this node" : "another node");
  return std::optional<network::VrrpFifo>(std::move(*fifo));
}

// Returns what makes this node answer for the VIPs, or stop to. `master`: what the active one of
// several nodes is called.
std::function<void(bool)> standby_switch(std::string_view master, control::Controller& controller,
                                         control::Follower& follower, Peering& peering,
                                         api::Events& events) {
  return [&, master](bool active) {
    const auto what = active
                          ? fmt::format("this node is the {}: it answers for its VIPs", master)
                          : fmt::format("another node is the {}: this one is its standby", master);
    spdlog::info("{}", what);
    events.add(api::about_member("attachment", what, nullptr));
    controller.set_standby(!active);
    peering.routes_changed();
    follower.catch_up();  // announces at once
  };
}

// Asks the link whether another machine answers for one of the first VIPs.
void ask_for_another(AddressHolders& holders, const control::Controller& controller,
                     const std::function<void(bool)>& answered) {
  constexpr std::size_t most = 4;
  std::vector<IpAddress> vips;
  for (const auto& [id, load_balancer] : controller.model().load_balancers) {
    if (vips.size() < most && holders.may_ask(load_balancer.vip_address))
      vips.push_back(load_balancer.vip_address);
  }
  if (vips.empty()) return answered(false);
  holders.ask(vips, [answered](const auto& answers) { answered(!answers.empty()); });
}

// Says whether the program is on all NICs of --interface; without that option: on any. If that
// can't be found out, it is.
bool is_attached(control::Controller& controller, const std::vector<std::string>& wanted) {
  const auto attached = controller.data_plane().interfaces();
  if (!attached) return true;
  if (wanted.empty()) return !attached->empty();
  return std::ranges::all_of(wanted, [&](const std::string& name) {
    return std::ranges::count(*attached, name, &control::AttachedInterface::name) != 0;
  });
}

Result<std::vector<std::uint32_t>> attached_indices(dataplane::BpfDataPlane& data_plane) {
  const auto attached = data_plane.interfaces();
  if (!attached) return tl::unexpected(attached.error());
  std::vector<std::uint32_t> indices;
  for (const auto& interface : *attached) indices.push_back(interface.index);
  return indices;
}

// Says whether the data plane that an earlier sluiced has left answers for VIPs.
bool answers_for_vips(dataplane::BpfDataPlane& data_plane) {
  const auto state = data_plane.read();
  return state &&
         std::ranges::any_of(state->vips, [](const auto& vip) { return !vip.second.standby; });
}

// Withdraws what an earlier sluiced has announced and this one won't.
Result<void> forget_announcements() {
  const auto withdrawn = network::withdraw_announcements();
  if (!withdrawn) return tl::unexpected(withdrawn.error());
  if (*withdrawn != 0) spdlog::warn("withdrew {} routes of VIPs: no --announce-routes", *withdrawn);
  return {};
}

// Begins to announce VIPs, with --announce-routes.
Result<void> announce(std::optional<control::VipRoutes>& vip_routes, boost::asio::io_context& loop,
                      control::Controller& controller, api::Events& events, const Options& options,
                      fleet::Membership* membership, std::function<std::string()> lacks) {
  if (!options.announce_routes) return forget_announcements();
  auto routes = network::Routes::open();
  if (!routes) return tl::unexpected(routes.error());
  vip_routes.emplace(
      loop, controller, std::move(*routes),
      control::VipRoutes::Settings{.node = options.node,
                                   .interfaces = options.interfaces,
                                   .ipv6_in_main_table = options.announce_ipv6_in_main_table},
      control::VipRoutes::Callbacks{
          .somebody_changes =
              [pins = options.pin_directory] { return kernel::somebody_changes(pins); },
          .note =
              [&events](std::string what) {
                events.add(api::about_member("attachment", std::move(what), nullptr));
              },
          .changed =
              [membership] {
                if (membership) membership->show();
              },
          .is_served_elsewhere =
              [membership](const model::LoadBalancer& object) {
                return membership && membership->is_served_elsewhere(object);
              },
          .forbids =
              [membership] {
                return membership ? membership->snat_claims().refusal() : std::string();
              },
          .lacks = std::move(lacks)});
  if (membership) membership->on_nodes_change([&vip_routes] { vip_routes->others_changed(); });
  return {};
}

// Tells machines apart whose nodes have one name by mistake.
std::string machine_id() {
  std::ifstream file("/etc/machine-id");
  std::string id;
  return std::getline(file, id) ? id : to_string(new_uuid());
}

// Joins the nodes that have their desired state in etcd, with --cluster. The file in the state
// directory is a copy then.
void join(std::optional<fleet::EtcdClient>& etcd, std::optional<fleet::Membership>& membership,
          boost::asio::io_context& loop, store::Writer& copy, const store::Contents& stored,
          const Options& options, dataplane::BpfDataPlane& data_plane) {
  if (options.cluster.members.empty()) return;
  etcd.emplace(loop.get_executor(), options.cluster);
  membership.emplace(
      *etcd, copy, stored,
      fleet::Membership::Settings{
          .keys = {.prefix = options.cluster_prefix},
          .node = options.node,
          .instance = machine_id(),
          .version = std::string(version),
          .peer = options.peers.are_wanted ? options.peers.listen.to_string() : std::string(),
          .accept_older_state = options.accept_older_state,
          .spread = options.spread_probes,
          .standby_group = options.standby_group,
          .was_active = !options.standby_group.empty() && answers_for_vips(data_plane),
          .snat_addresses = options.snat_addresses},
      [](fleet::Tone tone, const std::string& line) {
        spdlog::log(tone == fleet::Tone::news ? spdlog::level::info : spdlog::level::warn,
                    "fleet: {}", line);
      });
}

void log_ready(const Options& options, const control::Controller& controller) {
  const auto& model = controller.model();
  spdlog::info(
      "sluiced {} serves {}: {} load balancers, {} listeners, {} pools, {} members; data plane in "
      "{}",
      version, options.endpoints.socket.string(), model.load_balancers.size(),
      model.listeners.size(), model.pools.size(), model.members.size(),
      options.pin_directory.string());
}

// Forks the helper that runs the programs of --check; without any there is none.
Result<UniqueFd> start_checks(const CheckOptions& checks) {
  if (checks.programs.empty()) return UniqueFd();
  const auto user = health::find_check_user(checks.user);
  if (!user) return tl::unexpected(user.error());
  return health::start_check_helper(
      {.programs = checks.programs, .user = *user, .at_once = checks.at_once, .permit = {}});
}

// Tells the controller which checks the API may name.
void declare_checks(control::Controller& controller, const Options& options) {
  control::Controller::Checks checks{.names = {}, .node = options.node};
  for (const auto& [name, path] : options.checks.programs) checks.names.insert(name);
  controller.set_checks(std::move(checks));
}

Result<void> run(const Options& options) {
  if (auto permitted = require_privileges(); !permitted) return permitted;
  if (auto usable = check_snat_addresses(options); !usable) return usable;
  // The helper is forked first: it has nothing open, one thread and all privileges.
  const auto check_helper = start_checks(options.checks);
  if (!check_helper) return tl::unexpected(check_helper.error());
  raise_descriptor_limit();
  boost::asio::io_context loop(1);  // outlives all that it calls

  // The endpoints come first: a socket that another sluiced serves must end the start before
  // anything has changed.
  auto endpoints = api::Endpoints::open(options.endpoints);
  if (!endpoints) return tl::unexpected(std::move(endpoints.error()));

  auto pins = kernel::lock_for_daemon(options.pin_directory);
  if (!pins) return tl::unexpected(std::move(pins.error()));

  // The store has the desired state, the data plane what the kernel has been doing without us.
  auto opened = store::SqliteStore::open(options.state_directory);
  if (!opened) return tl::unexpected(std::move(opened.error()));
  std::optional<store::SqliteStore> store(std::move(*opened));
  auto stored = store->load();
  if (!stored) return tl::unexpected(std::move(stored.error()));
  api::Events events;
  take_stored_events(events, *store);
  if (auto attached = attach(options); !attached) return attached;
  const auto post = [&loop](auto heard) { boost::asio::post(loop, std::move(heard)); };
  std::optional<dataplane::SlowLane> lane(post);  // looks on without anybody waiting for it
  auto data_plane = open_data_plane(options, *lane);
  if (!data_plane) return tl::unexpected(std::move(data_plane.error()));

  auto recording = Recording::open(loop, options);
  if (!recording) return tl::unexpected(std::move(recording.error()));
  auto peering = Peering::open(loop, options);
  if (!peering) return tl::unexpected(std::move(peering.error()));

  // Capabilities belong to a thread: they go before there are others, which inherit what is left.
  if (auto dropped = drop_privileges(); !dropped) return dropped;

  // The controller makes the data plane equal to the desired state. From here on another thread
  // waits for the disk.
  store::WriterThread writer(*store, post);
  auto vrrp_fifo = open_vrrp_fifo(loop, options);
  if (!vrrp_fifo) return tl::unexpected(std::move(vrrp_fifo.error()));
  using Age = control::Controller::Age;
  std::optional<fleet::EtcdClient> etcd;
  std::optional<fleet::Membership> membership;
  join(etcd, membership, loop, writer, *stored, options, **data_plane);
  auto& shared_or_own = membership ? membership->writer() : writer;
  auto started = control::Controller::start(
      std::move(*stored), shared_or_own, **data_plane,
      options.accept_older_state ? Age::accept_older : Age::check,
      (*vrrp_fifo && !(*vrrp_fifo)->is_active()) || (membership && !membership->is_active()),
      node_snat_at_start(**data_plane, options));
  if (!started) return fail(std::move(started.error()), options.state_directory.string());
  const auto controller = std::move(*started);
  controller->work_in_slices(post, longest_slice);
  controller->set_networks(options.networks);
  declare_checks(*controller, options);

  // Probes, neighbours and announcements follow the model. The kernel reports changed next hops,
  // the data plane missing ones.
  auto neighbors = network::NeighborKeeper::start(loop.get_executor());
  if (!neighbors) return tl::unexpected(std::move(neighbors.error()));
  events.keep_with([&](const api::Event& event) { controller->note(api::record_of(event)); });
  std::optional<health::ExternalProber> checks;
  if (*check_helper) checks.emplace(loop.get_executor(), *check_helper, options.checks.at_once);
  VipProbes vip_probes((*data_plane)->program(), [&] { return attached_indices(**data_plane); });
  control::Follower follower(
      loop, *controller, *neighbors,
      [&](std::string_view kind, std::string what, const Uuid* member) {
        events.add(event_about(controller->model(), kind, what, member));
      },
      checks ? &*checks : nullptr, &vip_probes);
  if (*vrrp_fifo) {
    (*vrrp_fifo)
        ->listen({.changed = standby_switch("VRRP master", *controller, follower, *peering, events),
                  .claimed = [&] { follower.announce_again(); }});
  }
  NoticeReader notice_reader(loop, **data_plane, *neighbors, follower);
  std::vector<std::uint32_t> warned_vlans;
  recording->follow(**data_plane);
  recording->start(*controller);
  peering->follow(**data_plane);
  if (auto begun = peering->start(*controller, membership ? &*membership : nullptr); !begun)
    return begun;
  std::optional<control::VipRoutes> vip_routes;
  const auto lacks = [&] {
    const auto of_fleet = membership ? membership->lacks() : std::string();
    return of_fleet.empty() ? peering->lacks() : of_fleet;
  };
  if (auto announced = announce(vip_routes, loop, *controller, events, options,
                                membership ? &*membership : nullptr, lacks);
      !announced)
    return announced;
  const auto look_at_routes = [&] {
    if (vip_routes) vip_routes->look();
  };
  auto watcher = network::Watcher::start(
      loop.get_executor(),
      {.next_hops_changed =
           [&] {
             renew_next_hops(**data_plane, *neighbors, warned_vlans);
             look_at_routes();
           },
       .link_changed = [&](std::uint32_t index) { follower.link_changed(index); },
       .announcements_changed = look_at_routes});
  if (!watcher) return tl::unexpected(std::move(watcher.error()));
  renew_next_hops(**data_plane, *neighbors, warned_vlans);  // for changes before the watcher ran

  log_endpoints(*endpoints);
  AddressHolders holders(loop, *controller);
  TurnTimes turns;
  std::optional<api::Server> server(std::in_place, loop, *controller, std::move(*endpoints),
                                    api::Options{.default_project_id = options.project_id,
                                                 .holders = &holders,
                                                 .on_exchange = log_exchange,
                                                 .on_denied = log_denied,
                                                 .version = version,
                                                 .revision = revision,
                                                 .turns = &turns,
                                                 .events = &events,
                                                 .vip_routes = vip_routes ? &*vip_routes : nullptr,
                                                 .records = recording->counts(),
                                                 .node = options.node,
                                                 .fleet = membership ? &*membership : nullptr,
                                                 .peers = peering->peers()});
  if (membership && options.spread_probes) {
    membership->on_share_change([&] {
      follower.probe_only([&](const Uuid& member) { return membership->probes(member); });
    });
  }
  if (membership) {
    membership->on_standby(
        {.changed = standby_switch("active one", *controller, follower, *peering, events),
         .may_serve = [&] { return is_attached(*controller, options.interfaces); },
         .ask_link = [&](auto answered) { ask_for_another(holders, *controller, answered); }});
    membership->start(
        *controller, [&] { return vip_routes ? vip_routes->announcing() : control::Announcing{}; });
  }
  std::optional<SnatKeeper> snat_keeper;
  if (membership) {
    snat_keeper.emplace(
        loop, *controller, *membership, *peering, holders,
        SnatKeeper::Callbacks{
            .lacks = lacks,
            .announcing =
                [&] { return vip_routes ? vip_routes->announcing() : control::Announcing{}; },
            .announce_again = [&] { follower.announce_again(); },
            .note =
                [&](std::string what) {
                  events.add(api::about_member("attachment", std::move(what), nullptr));
                }});
    membership->on_nodes_change([&] { snat_keeper->look(); });
  }
  TestHook hook(loop, *controller, options.test_hook);
  Maintenance maintenance(loop, *controller, events, [&] {
    follower.catch_up();
    look_at_routes();
  });
  const PinWatch pin_watch(
      loop, options.pin_directory,
      {.on_other_maps = [&]() -> Result<void> {
         auto present = open_data_plane(options, *lane);
         if (!present) return tl::unexpected(std::move(present.error()));
         (*data_plane).swap(*present);  // the old one lives until nobody uses it
         notice_reader.read(**data_plane);
         recording->follow(**data_plane);
         peering->follow(**data_plane);
         controller->adopt(**data_plane);
         warned_vlans.clear();
         renew_next_hops(**data_plane, *neighbors, warned_vlans);
         follower.catch_up();
         return {};
       },
       .on_lost = [&](const Error& why) { controller->lose_data_plane(why); },
       .on_found =
           [&] {
             events.add(api::about_member("attachment", "the data plane is well again", nullptr));
             controller->adopt(**data_plane);
           },
       .on_event =
           [&](std::string what) {
             events.add(api::about_member("attachment", std::move(what), nullptr));
             look_at_routes();
           },
       .program = [&]() -> const kernel::Program& { return (*data_plane)->program(); }});

  // The data plane stays when we end, so a restart is harmless.
  boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code&, int signal) {
    spdlog::info("stopping on {}; traffic goes on", strsignal(signal));
    notify_service_manager("STOPPING=1");
    loop.stop();
  });
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);

  notify_service_manager("READY=1");
  log_ready(options, *controller);
  run(loop, turns);

  controller->finish();
  controller->store_notes();  // the writer's finish() waits for it
  server.reset();             // nobody is told "stored" from here on
  if (writer.finish([&] { store.reset(); }, patience_with_the_disk)) return {};
  spdlog::error(
      "the state directory does not take the last changes: they were acknowledged to nobody, and "
      "may be lost");
  data_plane->reset();
  lane.reset();  // ends a capture
  leave_at_once();
}

}  // namespace
}  // namespace sluice::daemon

int main(int argc, char** argv) {
  using namespace sluice::daemon;
  const auto parsed = parse_options(argc, argv);
  if (const auto* exit_code = std::get_if<ExitCode>(&parsed)) return *exit_code;
  const auto& options = std::get<Options>(parsed);
  set_up_logging(options.log_level);
  if (const auto result = run(options); !result) {
    fmt::print(std::cerr, "sluiced: {}\n", result.error().text());
    return failed;
  }
  return done;
}
