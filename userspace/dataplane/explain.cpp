#include "dataplane/explain.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>

#include "attachment/nic.hpp"
#include "base/fd.hpp"
#include "dataplane/codec.hpp"
#include "dataplane/first_packet.hpp"
#include "dataplane/flow_list.hpp"
#include "dataplane/reasons.hpp"
#include "maps/flow.h"
#include "maps/next_hop.h"

namespace sluice::dataplane {
namespace {

using control::Explanation;
using control::Question;

Explanation about(std::uint32_t reason) {
  const auto& text = reasons[reason];
  Explanation explained;
  explained.verdict = text.verdict;
  explained.reason = text.label;
  explained.sentence = text.sentence;
  return explained;
}

// The host's own address toward another one, by the kernel's routes; nothing is sent.
std::optional<IpAddress> own_address_toward(const IpAddress& address) {
  const bool v4 = address.is_v4();
  const UniqueFd socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto bytes = to_map(address);
  sockaddr_in peer4{};
  peer4.sin_family = AF_INET;
  peer4.sin_port = htons(9);
  peer4.sin_addr.s_addr = bytes.ipv4;
  sockaddr_in6 peer6{};
  peer6.sin6_family = AF_INET6;
  peer6.sin6_port = htons(9);
  std::memcpy(&peer6.sin6_addr, &bytes, sizeof peer6.sin6_addr);
  const auto* peer =
      v4 ? reinterpret_cast<const sockaddr*>(&peer4) : reinterpret_cast<const sockaddr*>(&peer6);
  if (!socket || connect(socket.get(), peer, v4 ? sizeof peer4 : sizeof peer6) != 0)
    return std::nullopt;
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &length) != 0)
    return std::nullopt;
  sluice_address local{};
  if (v4) {
    local.ipv4 = reinterpret_cast<const sockaddr_in&>(own).sin_addr.s_addr;
  } else {
    std::memcpy(&local, &reinterpret_cast<const sockaddr_in6&>(own).sin6_addr, sizeof local);
  }
  return from_map(local, !v4);
}

// The NIC on which the packet comes in: the one by which answers would leave, or else the first.
Result<sluice_interface> ingress_for(const attachment::InterfaceSlots& slots,
                                     const IpAddress& client) {
  const auto all = slots.all();
  if (!all) return tl::unexpected(all.error());
  const auto own = own_address_toward(client);
  std::optional<sluice_interface> first;
  for (const auto& slot : *all) {
    if (slot.tags != 0 || !attachment::nic_name(slot.ifindex)) continue;
    if (!first) first = slot;
    const auto address = client.is_v4() ? ipv4_from_be32(slot.ipv4) : from_map(slot.ipv6, true);
    if (own && *own == address) return slot;
  }
  if (first) return *first;
  return fail(ErrorKind::conflict, "no interface is attached, so no packet comes in",
              "sluice-loader attach INTERFACE");
}

std::string way_out(const kernel::Program& program, std::uint64_t state) {
  const auto index = static_cast<std::uint32_t>(SLUICE_STATE_GET(state, HOP));
  const auto hop = kernel::ArrayMap<sluice_next_hop>(program, "next_hops").lookup(index);
  if (!hop || !*hop || index == 0) return {};
  return attachment::nic_name((*hop)->ifindex).value_or("");
}

}  // namespace

Result<Explanation> explain(KeptRehearsal& kept, const attachment::InterfaceSlots& slots,
                            const Question& question) {
  const auto ingress = ingress_for(slots, question.from.address);
  if (!ingress) return tl::unexpected(ingress.error());
  const auto loaded = kept.of(question.to.address);
  if (!loaded) return tl::unexpected(loaded.error());
  const auto& rehearsal = **loaded;
  const auto outcome = rehearsal.receive(first_packet(question, ingress->mac), ingress->ifindex);
  if (!outcome) return tl::unexpected(outcome.error());
  auto explained = about(outcome->reason);
  // The packet's connection, old or new.
  const auto names = FlowNames::read(rehearsal.program());
  if (!names) return tl::unexpected(names.error());
  const auto found =
      find_flow(rehearsal.program(), *names, {question.protocol, question.from, question.to});
  if (!found) return tl::unexpected(found.error());
  if (const auto& flow = *found; flow && explained.verdict != "answer") {
    explained.listener_id = flow->first.listener_id;
    explained.pool_id = flow->first.pool_id;
    explained.member_id = flow->first.member_id;
    explained.interface = way_out(rehearsal.program(), flow->second.state);
  }
  if (explained.verdict == "drop") return explained;
  if (explained.verdict == "answer")
    explained.interface = attachment::nic_name(ingress->ifindex).value_or("");
  if (const auto ends = addressed(outcome->frame)) {
    explained.source = ends->source;
    explained.destination = ends->destination;
  }
  return explained;
}

}  // namespace sluice::dataplane
