#include "address_holders.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "network/inquiry.hpp"

namespace sluice::daemon {
namespace {

// Findings are used again for so long, so that a batch of a thousand VIPs looks once.
constexpr auto freshness = std::chrono::seconds(1);

// At most so many are asked at once, so that a batch of thousands of VIPs is no storm of
// broadcasts.
constexpr std::size_t asked_at_once = 500;

std::string in_use_by(const network::MacAddress& mac) {
  return fmt::format("in use: {:02x} answers for it", fmt::join(mac, ":"));
}

}  // namespace

// Reads the host's addresses. If that fails, only the wire is asked: a request must not fail for
// it.
void AddressHolders::look() {
  const auto now = std::chrono::steady_clock::now();
  if (looked_ && now - *looked_ < freshness) return;
  looked_ = now;
  attached_.clear();
  if (const auto attached = controller_.data_plane().interfaces()) {
    for (const auto& interface : *attached) attached_.push_back(interface.index);
  } else {
    spdlog::error("list the attached NICs: {}", attached.error().text());
  }
  auto host = network::read_host();
  if (!host) return spdlog::error("look who has an address: {}", host.error().text());
  host_ = std::move(*host);
}

std::optional<std::string> AddressHolders::own(const IpAddress& address) {
  look();
  return network::own_on(host_, address);
}

std::optional<std::string> AddressHolders::known(const IpAddress& address) {
  look();
  if (auto holder = network::holder_on(host_, address)) return holder;
  for (const auto& network : controller_.networks().all()) {
    for (const auto& subnet : network.subnets) {
      if (subnet.gateway == address) return "the gateway of subnet " + subnet.name;
    }
  }
  const auto& of_nodes = controller_.node_snat().addresses;
  if (const auto found = of_nodes.find(address); found != of_nodes.end())
    return "the SNAT address of node " + found->second.node;
  return std::nullopt;
}

bool AddressHolders::may_ask(const IpAddress& address) {
  // The node whose standby we are has the same VIPs, and answers for them.
  return !controller_.is_standby() && is_on_link(address);
}

bool AddressHolders::is_on_link(const IpAddress& address) {
  look();
  return !network::questions(host_, attached_, address).empty();
}

void AddressHolders::ask(const std::vector<IpAddress>& addresses,
                         std::function<void(Answers)> done) {
  ask_portion(addresses, {}, std::move(done));
}

void AddressHolders::ask_portion(std::vector<IpAddress> rest, Answers answers,
                                 std::function<void(Answers)> done) {
  look();
  std::vector<IpAddress> addresses(rest.begin(),
                                   rest.begin() + std::min(rest.size(), asked_at_once));
  std::vector<network::Question> questions;
  for (const auto& address : addresses) {
    for (auto& question : network::questions(host_, attached_, address))
      questions.push_back(std::move(question));
  }
  std::vector<network::MacAddress> own;
  for (const auto& link : host_.links) {
    if (link.mac) own.push_back(*link.mac);
  }
  rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(addresses.size()));
  const auto started = network::Inquiry::start(
      loop_.get_executor(), std::move(questions), std::move(own),
      [this, rest, answers, done](const std::vector<network::NeighborClaim>& claims) {
        auto all = answers;
        for (const auto& claim : claims) all.emplace(claim.address, in_use_by(claim.mac));
        if (rest.empty()) return done(std::move(all));
        ask_portion(rest, std::move(all), done);
      });
  if (started) return;
  spdlog::error("ask who has an address: {}", started.error().text());
  done(std::move(answers));
}

}  // namespace sluice::daemon
