#include "fleet/presence.hpp"

#include <fmt/format.h>

#include <utility>

namespace sluice::fleet {

void Presence::show(NodeEntry entry) {
  entry_ = std::move(entry);
  if (!std::exchange(is_begun_, true)) etcd_.after(time_between_renewals, [this] { renew(); });
  proceed();
}

void Presence::tell(const std::string& key, std::string value) {
  told_[key] = std::move(value);
  if (is_begun_) proceed();
}

// Does the next thing that is missing: a lease, or the key's value.
void Presence::proceed() {
  if (is_busy_) return;
  if (lease_ != 0 && written_ == entry_.text() && written_texts_ == told_) return;
  is_busy_ = true;
  if (lease_ != 0) return write();
  etcd_.grant(life, [this](const Answer<std::int64_t>& lease) {
    if (!lease) return try_again();
    lease_ = *lease;
    is_busy_ = false;
    proceed();
  });
}

void Presence::try_again() {
  etcd_.after(pause, [this] {
    is_busy_ = false;
    proceed();
  });
}

// Compares what is there, so that two nodes of one name notice each other.
void Presence::write() {
  const auto key = keys_.nodes() + entry_.name;
  auto value = entry_.text();
  Transaction transaction{.key = key,
                          .expected = present_,
                          .puts = {{key, value, lease_}},
                          .removals = {},
                          .read_otherwise = {key}};
  if (written_.empty())  // under no lease: it outlives the node
    transaction.puts.push_back({keys_.known_nodes() + entry_.name, "{}"});
  for (const auto& [name, text] : told_) {
    const auto known = written_texts_.find(name);
    if (known == written_texts_.end() || known->second != text)
      transaction.puts.push_back({name, text, lease_});
  }
  etcd_.transact(std::move(transaction),
                 [this, value = std::move(value), told = told_](
                     const Answer<TransactionReply>& answer) { written(value, told, answer); });
}

void Presence::forget_what_is_written() {
  written_.clear();
  written_texts_.clear();
}

void Presence::written(const std::string& value, const Texts& told,
                       const Answer<TransactionReply>& answer) {
  if (!answer) {
    if (answer.error().text.find("lease not found") != std::string::npos) {
      lease_ = 0;
      forget_what_is_written();
    }
    return try_again();
  }
  if (!answer->happened) return found_another(*answer);
  present_ = written_ = value;
  written_texts_ = told;
  is_busy_ = false;
  proceed();
}

// The key has another value than was thought: of an earlier run, or of another node.
void Presence::found_another(const TransactionReply& reply) {
  present_ = reply.read.empty() ? std::nullopt : std::optional(reply.read.front().value);
  if (!present_) forget_what_is_written();  // somebody has removed it, and perhaps the others
  const auto other = present_ ? NodeEntry::parse(*present_) : std::nullopt;
  if (!other || other->instance == entry_.instance) return write();
  present_.reset();  // it is left to the other one, as long as that lives
  forget_what_is_written();
  if (!std::exchange(told_of_another_, true)) {
    event_(Tone::trouble,
           fmt::format("another machine calls itself {}, too: nobody will see this one (--node)",
                       entry_.name));
  }
  try_again();
}

void Presence::renew() {
  etcd_.after(time_between_renewals, [this] { renew(); });
  if (lease_ == 0) return;
  etcd_.renew(lease_, [this](const Answer<bool>& alive) {
    if (!alive || *alive) return;
    lease_ = 0;
    present_.reset();
    forget_what_is_written();
    proceed();
  });
}

}  // namespace sluice::fleet
