// FakeDataPlane: a data plane in memory that records every operation, and checks after each that
// packets would never meet a half-built state.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/data_plane.hpp"

namespace sluice::test {

class FakeDataPlane : public control::DataPlane, public control::Inspection {
 public:
  // Tests set and read this.
  control::DataPlaneState state;
  std::vector<control::Operation> operations;  // carried out so far
  std::vector<std::string> violations;         // of the rules below; stays empty
  std::size_t reads = 0;
  // Returns an error for the operations that must be refused.
  std::function<Result<void>(const control::Operation&)> veto;
  // Returns true for operations that report success and change nothing.
  std::function<bool(const control::Operation&)> lose;
  std::optional<Error> read_error;
  std::map<Uuid, control::Counters> listener_counts, member_counts;
  std::map<Uuid, control::HandshakeTimes> handshakes;
  std::vector<control::ReasonCount> reasons;
  std::vector<control::AttachedInterface> attached;
  model::Supported can = model::Supported::everything();

  model::Supported supported() const override { return can; }
  std::vector<control::Flow> live_flows;
  std::function<Result<control::Explanation>(const control::Question&)> answer;
  std::optional<control::CaptureFilter> capture_filter;  // while one is under way
  control::Captured captured;

  Result<control::DataPlaneState> read() override {
    reads++;
    if (read_error) return tl::unexpected(*read_error);
    return state;
  }

  // In three steps: the first finds the members, the second the rest, the third nothing.
  class ReadInSteps : public control::Reading {
   public:
    explicit ReadInSteps(FakeDataPlane& from) : from_(from) {}
    Result<bool> step() override {
      if (from_.read_error) return tl::unexpected(*from_.read_error);
      if (steps_ == 0) found_.members = from_.state.members;
      if (steps_ == 1) {
        found_.vips = from_.state.vips;
        found_.listeners = from_.state.listeners;
        found_.pools = from_.state.pools;
      }
      return ++steps_ == 3;
    }
    control::DataPlaneState take() override { return std::exchange(found_, {}); }

   private:
    FakeDataPlane& from_;
    int steps_ = 0;
    control::DataPlaneState found_;
  };
  std::unique_ptr<control::Reading> begin_to_read() override {
    if (!can_look_at_some) return nullptr;
    partial_reads++;
    return std::make_unique<ReadInSteps>(*this);
  }
  std::size_t partial_reads = 0;

  Result<void> apply(const control::Operation& operation) override {
    if (veto) {
      if (auto allowed = veto(operation); !allowed) return allowed;
    }
    operations.push_back(operation);
    if (lose && lose(operation)) return {};
    control::apply_to(state, operation);
    check(operation);
    return {};
  }

  // False: it can only be read as a whole.
  bool can_look_at_some = false;
  Result<std::optional<bool>> holds(const std::vector<control::Operation>& some) override {
    if (!can_look_at_some) return std::optional<bool>();
    auto as_it_should_be = state;
    for (const auto& operation : some) control::apply_to(as_it_should_be, operation);
    return std::optional(as_it_should_be == state);
  }

  store::Position position;
  Result<store::Position> store_position() override { return position; }
  Result<void> note_store_position(const store::Position& next) override {
    position = next;
    return {};
  }

  Result<control::Counters> listener_counters(const Uuid& listener) override {
    return listener_counts[listener];
  }
  Result<control::Counters> member_counters(const Uuid& member) override {
    return member_counts[member];
  }
  Result<control::CountersById> all_listener_counters() override { return all(listener_counts); }
  Result<control::CountersById> all_member_counters() override { return all(member_counts); }
  Result<control::HandshakesById> all_handshakes() override {
    if (read_error) return tl::unexpected(*read_error);
    return handshakes;
  }
  Result<std::vector<control::ReasonCount>> reason_counters() override { return reasons; }
  std::vector<control::RemovedMember> removed;
  Result<std::vector<control::RemovedMember>> removed_members() override { return removed; }
  // Inspects within the call, unless a test holds the work up; then the test carries it out.
  using Held = std::function<bool(std::function<void()> work, const control::Asker&)>;
  Held hold_inspection;
  bool inspect(control::Inspecting work, const control::Asker& asker) override {
    const auto all = [this, work = std::move(work)] {
      if (const auto outcome = work(*this)) outcome();
    };
    if (hold_inspection) return hold_inspection(all, asker);
    all();
    return true;
  }
  void expire_flows(std::function<void(Result<control::ExpiryReport>)> done) override {
    done(expire_flows());
  }
  Result<control::ExpiryReport> expire_flows() override { return control::ExpiryReport{}; }
  // Reloads within the call, unless a test holds reloads up; then the test ends them.
  bool hold_reloads = false;
  std::vector<std::function<void(Result<control::Reloaded>)>> held_reloads;
  std::uint32_t program = 1;
  void reload(std::function<void(Result<control::Reloaded>)> done) override {
    if (!hold_reloads) return done(reload());
    held_reloads.push_back(std::move(done));
  }
  Result<control::Reloaded> reload() override {
    const auto old = program++;
    return control::Reloaded{old, program, {"eth0"}};
  }
  std::vector<control::TableFill> tables;
  Result<std::vector<control::TableFill>> flow_tables() override { return tables; }
  Result<void> renew_next_hops() override { return {}; }
  Result<std::vector<control::AttachedInterface>> interfaces() override { return attached; }

  Result<std::vector<control::Flow>> flows(const control::FlowFilter& filter,
                                           std::size_t limit) override {
    std::vector<control::Flow> found;
    for (const auto& flow : live_flows) {
      if (found.size() < limit && control::matches(filter, flow)) found.push_back(flow);
    }
    return found;
  }
  Result<std::uint64_t> flush_flows(const control::FlowFilter& filter) override {
    return std::erase_if(live_flows,
                         [&](const auto& flow) { return control::matches(filter, flow); });
  }
  Result<control::Explanation> explain(const control::Question& question) override {
    return answer ? answer(question) : Inspection::explain(question);
  }
  Result<Uuid> start_capture(const control::CaptureFilter& filter) override {
    if (capture_filter) return fail(ErrorKind::conflict, "Another capture is under way.");
    capture_filter = filter;
    return capture_;
  }
  Result<control::Captured> take_captured(const Uuid& capture, std::size_t limit) override {
    if (!capture_filter || capture != capture_) return no_capture(capture);
    auto taken = captured;
    taken.more = taken.frames.size() > limit;
    if (taken.more) taken.frames.resize(limit);
    return taken;
  }
  Result<void> stop_capture(const Uuid& capture) override {
    if (!capture_filter || capture != capture_) return no_capture(capture);
    capture_filter.reset();
    return {};
  }

 private:
  const Uuid capture_ = new_uuid();

  Result<control::CountersById> all(const std::map<Uuid, control::Counters>& counts) const {
    if (read_error) return tl::unexpected(*read_error);
    return control::CountersById(counts.begin(), counts.end());
  }

  // Checks that every name has its object, and that members in a ring are flagged usable.
  void check(const control::Operation& operation) {
    const auto violated = [&](const std::string& what) {
      violations.push_back(fmt::format("after {}: {}", subject(operation), what));
    };
    for (const auto& [id, pool] : state.pools) {
      for (const auto& member : pool.ring) {
        const auto found = state.members.find(member);
        if (found == state.members.end()) {
          violated("a ring names a member that is not there");
        } else if (!found->second.usable) {
          violated("a ring names a member that is not usable");
        }
      }
    }
    for (const auto& [key, listener] : state.listeners) {
      if (!listener.pool.is_nil() && !state.pools.contains(control::pool_entry_of(key, listener))) {
        violated("a listener names a pool that is not there");
      }
    }
  }
};

}  // namespace sluice::test
