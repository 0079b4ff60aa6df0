#include "fleet/peer_keys.hpp"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fleet/cluster_writer.hpp"
#include "fleet/json_fields.hpp"

namespace sluice::fleet {
namespace json = boost::json;
namespace {

std::optional<PeerKeyRing> ring_from(const json::object& object) {
  const auto* number = object.if_contains("number");
  PeerKeyRing ring{0, text_at(object, "newer"), text_at(object, "older")};
  if (!number || !number->is_int64() || number->get_int64() <= 0 || ring.newer.empty())
    return std::nullopt;
  ring.number = static_cast<std::uint64_t>(number->get_int64());
  return ring;
}

json::object object_of(const PeerKeyRing& ring) {
  return {{"number", ring.number}, {"newer", ring.newer}, {"older", ring.older}};
}

}  // namespace

std::string PeerKeyRing::text() const {
  return json::serialize(object_of(*this));
}

std::optional<PeerKeyRing> PeerKeyRing::parse(const std::string& text) {
  const auto object = parse_object(text);
  return object ? ring_from(*object) : std::nullopt;
}

PeerKeys::PeerKeys(Etcd& etcd, Settings settings, Callbacks callbacks)
    : etcd_(etcd), settings_(std::move(settings)), callbacks_(std::move(callbacks)) {}

// The copy also says which secret to seal with: the others may have removed the older one since.
void PeerKeys::start() {
  if (settings_.copy.empty()) return;
  const auto object = parse_object(settings_.copy);
  ring_ = object ? ring_from(*object) : std::nullopt;
  if (!ring_) {
    return callbacks_.event(
        Tone::trouble, "the copy of the peers' key can't be read: peers have to wait for etcd");
  }
  seals_with_newer_ = ring_->older.empty() || truth_at(*object, "seals_with_newer");
  use_and_keep();
}

void PeerKeys::use_and_keep() {
  std::vector<std::string> secrets{ring_->newer};
  if (!ring_->older.empty())
    secrets.insert(seals_with_newer_ ? secrets.end() : secrets.begin(), ring_->older);
  callbacks_.use(secrets);
  auto copy = object_of(*ring_);
  copy["seals_with_newer"] = seals_with_newer_;
  auto text = json::serialize(copy);
  if (text == settings_.copy) return;
  if (const auto kept = callbacks_.keep(text); !kept) {
    callbacks_.event(Tone::trouble, kept.error().text());
  } else {
    settings_.copy = std::move(text);
  }
}

void PeerKeys::reset(std::int64_t revision, const std::vector<KeyValue>& all) {
  revision_ = revision;
  was_read_ = true;
  present_.reset();
  for (const auto& entry : all) take(entry);
}

void PeerKeys::follow(const std::vector<Change>& changes) {
  for (const auto& [entry, removed] : changes) {
    if (entry.modified <= revision_) continue;
    if (removed && entry.key == settings_.keys.peer_keys()) present_.reset();
    if (!removed) take(entry);
  }
}

void PeerKeys::take(const KeyValue& entry) {
  if (entry.key == settings_.keys.peer_keys()) present_ = entry.value;
}

void PeerKeys::adopt(PeerKeyRing ring) {
  const bool is_exchange = ring_ && ring.older == ring_->newer;
  seals_with_newer_ = ring.older.empty() || (ring_ && ring_->number == ring.number &&
                                             ring_->newer == ring.newer && seals_with_newer_);
  ring_ = std::move(ring);
  callbacks_.event(Tone::news,
                   is_exchange
                       ? fmt::format("the peers' key is exchanged: {} follows", ring_->number)
                       : fmt::format("the peers' key is {} of etcd", ring_->number));
  use_and_keep();
  callbacks_.changed();
}

// The nodes that have not got the newer secret, or don't seal with it yet.
std::vector<std::string> PeerKeys::lacking(const Roster& roster, bool sealing) const {
  auto names = roster.gone();
  for (const auto& [name, node] : roster.nodes()) {
    if (name == settings_.node || node.peer.empty()) continue;
    if ((sealing ? node.peer_key_used : node.peer_key) != has()) names.push_back(name);
  }
  return names;
}

std::uint64_t PeerKeys::seals_with() const {
  return !ring_ || seals_with_newer_ ? has() : has() - 1;
}

void PeerKeys::proceed(const Roster& roster) {
  if (!was_read_) return;
  const auto in_etcd = present_ ? PeerKeyRing::parse(*present_) : std::nullopt;
  if (present_ && !in_etcd) return;  // of a version that says it otherwise
  if (in_etcd && in_etcd != ring_ && (!ring_ || in_etcd->number >= ring_->number))
    return adopt(*in_etcd);
  if (is_busy_) return;
  if (!in_etcd || in_etcd->number < ring_->number)
    return write(ring_ ? *ring_ : PeerKeyRing{1, callbacks_.make_secret(), ""});
  if (ring_->older.empty()) return;
  if (!seals_with_newer_ && lacking(roster, false).empty()) {
    seals_with_newer_ = true;
    use_and_keep();
    return callbacks_.changed();
  }
  if (seals_with_newer_ && lacking(roster, true).empty()) write({ring_->number, ring_->newer, ""});
}

// Whoever is faster: the watch tells the others.
void PeerKeys::write(const PeerKeyRing& ring) {
  is_busy_ = true;
  const auto& key = settings_.keys.peer_keys();
  etcd_.transact({.key = key,
                  .expected = present_,
                  .puts = {{key, ring.text()}},
                  .removals = {},
                  .read_otherwise = {}},
                 [this](const Answer<TransactionReply>& answer) {
                   if (answer) {
                     is_busy_ = false;
                     return;
                   }
                   etcd_.after(pause, [this] {
                     is_busy_ = false;
                     callbacks_.changed();
                   });
                 });
}

void PeerKeys::exchange(const Roster& roster, std::function<void(Result<void>)> done) {
  if (!ring_ || !present_) {
    return done(tl::unexpected(
        unavailable("this node has not got the peers' key yet", "try again in a second")));
  }
  if (!ring_->older.empty()) {
    return done(
        fail(ErrorKind::conflict,
             fmt::format("The last exchange of the peers' key is not over: {}.", state(roster)),
             "start these nodes, or remove those that won't come back (sluicectl node "
             "remove)"));
  }
  const PeerKeyRing next{ring_->number + 1, callbacks_.make_secret(), ring_->newer};
  const auto key = settings_.keys.peer_keys();
  etcd_.transact({.key = key,
                  .expected = present_,
                  .puts = {{key, next.text()}},
                  .removals = {},
                  .read_otherwise = {}},
                 [done = std::move(done)](const Answer<TransactionReply>& answer) {
                   if (!answer) {
                     return done(tl::unexpected(
                         unavailable("exchange the peers' key: " + answer.error().text)));
                   }
                   if (!answer->happened) {
                     return done(fail(ErrorKind::conflict,
                                      "Another node exchanges the peers' key at this moment.",
                                      "try again in a second"));
                   }
                   done({});
                 });
}

std::string PeerKeys::state(const Roster& roster) const {
  if (!ring_) return {};
  if (ring_->older.empty()) return std::to_string(ring_->number);
  if (!seals_with_newer_) {
    return fmt::format("{}, until {} is at {}", ring_->number - 1, ring_->number,
                       fmt::join(lacking(roster, false), ", "));
  }
  return fmt::format("{}, until {} is used by {} it is good, too", ring_->number, ring_->number,
                     fmt::join(lacking(roster, true), ", "));
}

}  // namespace sluice::fleet
