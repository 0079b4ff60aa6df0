// Every handler that routes.cpp names, apart from the generic list<T> and show<T> of
// collection.hpp.
#pragma once

#include "api/language/message.hpp"

namespace sluice::api {

// The reply of a handler that leaves its work to the slow lane.
inline Reply looking_on(std::function<Result<Reply>(control::Inspection&)> inspect) {
  Reply reply;
  reply.inspect = std::move(inspect);
  return reply;
}

Result<Reply> create_load_balancer(const Call& call);
Result<Reply> update_load_balancer(const Call& call);
Result<Reply> delete_load_balancer(const Call& call);
Result<Reply> show_load_balancer_status(const Call& call);
Result<Reply> fail_over(const Call& call);
Result<Reply> show_load_balancer_statistics(const Call& call);

Result<Reply> create_listener(const Call& call);
Result<Reply> update_listener(const Call& call);
Result<Reply> delete_listener(const Call& call);
Result<Reply> show_listener_statistics(const Call& call);

Result<Reply> create_pool(const Call& call);
Result<Reply> update_pool(const Call& call);
Result<Reply> delete_pool(const Call& call);

Result<Reply> list_members(const Call& call);
Result<Reply> create_member(const Call& call);
Result<Reply> show_member(const Call& call);
Result<Reply> update_member(const Call& call);
Result<Reply> delete_member(const Call& call);
Result<Reply> replace_members(const Call& call);

Result<Reply> create_health_monitor(const Call& call);
Result<Reply> update_health_monitor(const Call& call);
Result<Reply> delete_health_monitor(const Call& call);

Result<Reply> create_floating_ip(const Call& call);
Result<Reply> update_floating_ip(const Call& call);
Result<Reply> delete_floating_ip(const Call& call);

Result<Reply> list_networks(const Call& call);
Result<Reply> show_network(const Call& call);
Result<Reply> list_subnets(const Call& call);
Result<Reply> show_subnet(const Call& call);
Result<Reply> list_ports(const Call& call);
Result<Reply> show_port(const Call& call);
Result<Reply> update_port(const Call& call);
Result<Reply> list_security_groups(const Call& call);
Result<Reply> show_security_group(const Call& call);
Result<Reply> list_extensions(const Call& call);
Result<Reply> show_extension(const Call& call);

Result<Reply> list_providers(const Call& call);
Result<Reply> list_flavor_capabilities(const Call& call);
Result<Reply> list_availability_zone_capabilities(const Call& call);
Result<Reply> list_quotas(const Call& call);
Result<Reply> show_quota(const Call& call);
Result<Reply> show_default_quota(const Call& call);
Result<Reply> change_quota(const Call& call);
Result<Reply> delete_quota(const Call& call);
Result<Reply> list_nothing(const Call& call);
Result<Reply> find_nothing(const Call& call);
Result<Reply> refuse_collection(const Call& call);

Result<Reply> list_versions(const Call& call);
Result<Reply> show_version(const Call& call);
Result<Reply> check_health(const Call& call);
Result<Reply> show_entrance(const Call& call);
Result<Reply> show_node(const Call& call);
Result<Reply> update_node(const Call& call);
Result<Reply> remove_node(const Call& call);
Result<Reply> list_nodes(const Call& call);
Result<Reply> list_peers(const Call& call);
Result<Reply> show_cluster(const Call& call);
Result<Reply> list_drops(const Call& call);
Result<Reply> list_events(const Call& call);
Result<Reply> list_counters(const Call& call);

Result<Reply> list_flows(const Call& call);
Result<Reply> list_clients(const Call& call);
Result<Reply> list_removed_members(const Call& call);
Result<Reply> flush_flows(const Call& call);
Result<Reply> explain(const Call& call);
Result<Reply> start_capture(const Call& call);
Result<Reply> take_captured(const Call& call);
Result<Reply> stop_capture(const Call& call);
Result<Reply> run_batch(const Call& call);
Result<Reply> back_up(const Call& call);
Result<Reply> restore_backup(const Call& call);

}  // namespace sluice::api
