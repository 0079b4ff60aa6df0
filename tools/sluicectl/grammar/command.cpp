#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

std::string Invocation::value(const std::string& option) const {
  const auto& all = values(option);
  return all.empty() ? std::string() : all.back();
}

std::string Invocation::positional(const std::string& name) const {
  const auto found = positionals.find(name);
  return found == positionals.end() ? std::string() : found->second;
}

const std::vector<std::string>& Invocation::values(const std::string& option) const {
  static const std::vector<std::string> none;
  const auto found = options.find(option);
  return found == options.end() ? none : found->second;
}

const std::vector<const Noun*>& nouns() {
  static const std::vector<const Noun*> all = {
      &load_balancer_noun(),  &listener_noun(),    &pool_noun(),    &member_noun(),
      &health_monitor_noun(), &provider_noun(),    &quota_noun(),   &network_noun(),
      &subnet_noun(),         &floating_ip_noun(), &apply_noun(),   &export_noun(),
      &import_noun(),         &backup_noun(),      &restore_noun(), &openrc_noun(),
      &clouds_yaml_noun(),    &node_noun(),        &cluster_noun(), &peer_noun(),
      &flows_noun(),          &drops_noun(),       &events_noun(),  &explain_noun(),
      &capture_noun(),        &top_noun(),         &bundle_noun()};
  return all;
}

std::vector<std::string> columns_of(const Noun& noun, const Verb& verb) {
  if (!verb.columns.empty() || !noun.resource) return verb.columns;
  if (verb.output == Output::listing) return noun.resource->columns;
  auto columns = noun.resource->rows;
  const auto& more = noun.resource->optional_rows;
  columns.insert(columns.end(), more.begin(), more.end());
  return columns;
}

}  // namespace sluice::ctl
