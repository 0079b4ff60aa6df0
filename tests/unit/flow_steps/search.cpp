#include "search.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace sluice::test {
namespace {

constexpr std::size_t slot_count = 3, most_operations = 5;
constexpr std::uint8_t is_free = 0, claimed = 1, in_use = 2, event_seen = 4;  // a slot's state

struct Slot {
  std::uint8_t state = is_free;
  char key = 0;
  char target = 0;         // the target of the flow with this key
  std::uint8_t rests = 0;  // operations under way when it was freed, one bit each
};

struct Progress {
  std::uint8_t step = 0;  // the next one; see advance()
  std::uint8_t slot = 0;
  std::uint8_t bucket = 0;
  std::uint8_t seen = 0;  // state
  char target = 0;
  std::uint8_t done = 0;
};

struct World {
  std::array<Slot, slot_count> slots;
  std::array<std::uint8_t, slot_count> passed{};  // flows beyond this bucket
  std::uint8_t locked = 0;
  std::array<Progress, most_operations> progress;
};

// One operation on the world, which takes one step at a time.
class Cpu {
 public:
  Cpu(World& world, const Scenario& scenario, const Rules& rules, std::size_t number)
      : world_(world),
        operation_(scenario.operations[number]),
        rules_(rules),
        operations_(scenario.operations.size()),
        number_(number),
        p_(world.progress[number]) {}

  // Takes a step and describes it; nullopt: the CPU waits or has finished.
  std::optional<std::string> advance() {
    if (p_.done || must_wait()) return std::nullopt;
    switch (operation_.kind) {
      case Kind::insert:
        return insert();
      case Kind::remove:
        return remove();
      case Kind::event:
        return event();
      default:
        return read();
    }
  }
  const std::string& fault() const { return fault_; }

 private:
  enum InsertStep : std::uint8_t {
    lock,
    look,
    take,
    count,
    target,
    key,
    state,
    late_count,
    unlock
  };

  bool must_wait() const {
    if (p_.step != 0 || operation_.after < 0) return false;
    const auto& insertion = world_.progress[static_cast<std::size_t>(operation_.after)];
    return !insertion.done && insertion.step <= state;
  }

  Slot& slot() { return world_.slots[p_.slot]; }
  std::string at() const { return std::to_string(p_.slot); }

  void finish() {
    p_ = Progress{};
    p_.done = 1;
    for (auto& slot : world_.slots)
      slot.rests = static_cast<std::uint8_t>(slot.rests & ~(1U << number_));
  }
  std::string finish(const std::string& what) {
    finish();
    return what;
  }
  std::string go_to(std::uint8_t step, const std::string& what) {
    p_.step = step;
    return what;
  }

  // Finds the key's slot by a whole search in one step; false: there is none.
  bool find() {
    for (p_.slot = 0; p_.slot < slot_count; ++p_.slot) {
      if (slot().state >= in_use && slot().key == operation_.key) return true;
      if (world_.passed[p_.slot] == 0) break;
    }
    p_.slot = 0;
    return false;
  }

  void pass(std::uint8_t bucket, int change) {
    auto& count = world_.passed[bucket];
    count = static_cast<std::uint8_t>(count + change);
    if (count > slot_count - 1 - bucket)
      fault_ =
          "more flows are counted beyond a bucket than there are slots: it carries into the lock";
  }

  bool claim(bool even_resting) {
    for (p_.slot = 0; p_.slot < slot_count; ++p_.slot) {
      if (slot().state != is_free) continue;
      if (rules_.slots_rest && slot().rests != 0 && !even_resting) continue;
      slot().state = claimed;
      return true;
    }
    p_.slot = 0;
    return false;
  }

  std::string publish() {
    slot().state = in_use;
    const auto same = std::count_if(
        world_.slots.begin(), world_.slots.end(),
        [&](const Slot& other) { return other.state >= in_use && other.key == operation_.key; });
    if (same > 1) fault_ = "a key is in the table twice";
    return "publishes slot " + at();
  }

  std::optional<std::string> insert() {
    switch (p_.step) {
      case lock:
        if (rules_.lock_home && world_.locked) return std::nullopt;
        world_.locked = 1;
        return go_to(look, "locks the home");
      case look:
        if (find()) return go_to(unlock, "finds its key in slot " + at());
        return go_to(take, "does not find its key");
      case take:
        if (!claim(false) && !claim(true)) return go_to(unlock, "finds no room");
        p_.bucket = 0;
        return go_to(rules_.count_before_publish ? count : target, "claims slot " + at());
      case count:
      case late_count: {
        if (p_.bucket < p_.slot) {
          pass(p_.bucket, 1);
          return "passes over bucket " + std::to_string(p_.bucket++);
        }
        p_.step = p_.step == count ? target : unlock;
        return insert();
      }
      case target:
        slot().target = operation_.key;
        return go_to(key, "writes the new tuple to slot " + at());
      case key:
        slot().key = operation_.key;
        return go_to(state, "writes the key to slot " + at());
      case state:
        p_.step = rules_.count_before_publish ? unlock : late_count;
        return publish();
      default:
        world_.locked = 0;
        return finish("unlocks the home");
    }
  }

  // Both halves of flow_change(): the look, and the swap.
  bool still_ours() {
    return slot().state == p_.seen && (!rules_.look_at_key || slot().key == operation_.key);
  }
  bool swap(std::uint8_t state) {
    if (slot().state != p_.seen) return false;
    if (slot().key != operation_.key) fault_ = "what is meant for one flow happens to another";
    slot().state = state;
    return true;
  }

  std::string free_slot() {
    slot().state = is_free;
    slot().rests = 0;
    for (std::size_t i = 0; i < operations_; ++i) {
      const auto& other = world_.progress[i];
      if (i != number_ && other.step != 0 && !other.done)
        slot().rests = static_cast<std::uint8_t>(slot().rests | 1U << i);
    }
    return "frees slot " + at();
  }

  std::optional<std::string> remove() {
    enum : std::uint8_t { find_slot, check, claim_slot, uncount, release };
    switch (p_.step) {
      case find_slot:
        if (!find()) return finish("finds nothing");
        p_.seen = slot().state;
        return go_to(check, "finds slot " + at());
      case check:
        if (!still_ours()) return finish("sees that slot " + at() + " has changed");
        return go_to(claim_slot, "sees its key in slot " + at());
      case claim_slot:
        if (!swap(claimed)) return finish("was too late for slot " + at());
        p_.bucket = 0;
        return go_to(rules_.uncount_before_free ? uncount : release, "claims slot " + at());
      case uncount:
        if (p_.bucket < p_.slot) {
          pass(p_.bucket, -1);
          return "no longer passes over bucket " + std::to_string(p_.bucket++);
        }
        if (!rules_.uncount_before_free) return finish("has finished");
        p_.step = release;
        return remove();
      default: {
        const auto what = free_slot();
        if (rules_.uncount_before_free) return finish(what);
        return go_to(uncount, what);
      }
    }
  }

  std::optional<std::string> event() {
    enum : std::uint8_t { find_slot, check, change };
    switch (p_.step) {
      case find_slot:
        if (!find()) return finish("finds nothing");
        p_.seen = slot().state;
        return go_to(check, "finds slot " + at());
      case check:
        if (!still_ours()) return finish("sees that slot " + at() + " has changed");
        return go_to(change, "sees its key in slot " + at());
      default:
        if (!swap(p_.seen | event_seen)) return finish("was too late for slot " + at());
        return finish("notes it in slot " + at());
    }
  }

  std::string next_slot(const std::string& why) {
    p_.seen = 0;
    p_.target = 0;
    return go_to(6, why);
  }

  std::optional<std::string> read() {
    switch (p_.step) {
      case 0:
        if (slot().state < in_use) return next_slot("sees no flow in slot " + at());
        p_.seen = slot().state;
        return go_to(1, "reads the state of slot " + at());
      case 1:
        if (slot().key != operation_.key) return next_slot("sees another key in slot " + at());
        return go_to(2, "reads the key of slot " + at());
      case 2:
        p_.target = slot().target;
        if (!rules_.look_twice) return found();
        return go_to(3, "reads the new tuple of slot " + at());
      case 3:
        if ((slot().state | event_seen) != (p_.seen | event_seen))
          return next_slot("sees a change");
        return go_to(4, "reads the state again");
      case 4:
        if (slot().key != operation_.key) return next_slot("sees a change");
        return go_to(5, "reads the key again");
      case 5:
        if (slot().target != p_.target) return next_slot("sees a change");
        return found();
      default:
        if (world_.passed[p_.slot] != 0 && p_.slot + 1U < slot_count) {
          ++p_.slot;
          return go_to(0, "goes on to slot " + at());
        }
        if (operation_.always_there) fault_ = "a reader misses a flow that is there";
        return finish("finds nothing");
    }
  }
  std::string found() {
    if (p_.target != operation_.key) fault_ = "a reader takes another flow's tuple";
    return finish("has read slot " + at());
  }

  World& world_;
  const Operation& operation_;
  const Rules& rules_;
  std::size_t operations_, number_;
  Progress& p_;
  std::string fault_;
};

World start(const Scenario& scenario) {
  World world;
  for (std::size_t i = 0; i < scenario.flows.size(); ++i) {
    if (scenario.flows[i] == '.') continue;
    world.slots[i] = {in_use, scenario.flows[i], scenario.flows[i], 0};
    for (std::size_t bucket = 0; bucket < i; ++bucket) ++world.passed[bucket];
  }
  return world;
}

// Checks what must hold once no operation is under way.
std::string fault_at_rest(const World& world, const Scenario& scenario) {
  for (std::size_t i = 0; i < scenario.operations.size(); ++i) {
    if (!world.progress[i].done) return "nobody can go on: the home stays locked";
  }
  if (world.locked) return "the home stays locked";
  for (std::size_t bucket = 0; bucket < slot_count; ++bucket) {
    const auto beyond =
        std::count_if(world.slots.begin() + static_cast<long>(bucket) + 1, world.slots.end(),
                      [](const Slot& slot) { return slot.state != is_free; });
    if (world.passed[bucket] != beyond)
      return "a bucket's count is not that of the flows beyond it";
  }
  return {};
}

const char* name(Kind kind) {
  const char* const names[] = {"insert", "remove", "event", "read"};
  return names[static_cast<std::size_t>(kind)];
}

}  // namespace

Finding search(const Scenario& scenario, const Rules& rules) {
  const auto take = [&](World& world, std::size_t number) -> std::optional<Step> {
    Cpu cpu(world, scenario, rules, number);
    const auto did = cpu.advance();
    if (!did) return std::nullopt;
    const auto& operation = scenario.operations[number];
    const auto who = "CPU " + std::to_string(number) + " (" + name(operation.kind) + " ";
    return Step{who + operation.key + ") " + *did, cpu.fault()};
  };
  return explore(start(scenario), scenario.operations.size(), take,
                 [&](const World& world) { return fault_at_rest(world, scenario); });
}

}  // namespace sluice::test
