#include "areas.hpp"

#include "table_steps.hpp"

namespace sluice::test::areas {
namespace {

constexpr int most_removal_rounds = 2;  // FLOW_FORGET_ROUNDS

// One operation on the world, which takes one step at a time.
class Cpu : public TableSteps {
 public:
  using TableSteps::TableSteps;

  // Takes a step and describes it; nullopt: the CPU waits or has finished.
  std::optional<std::string> advance() {
    if (p_.done) return std::nullopt;
    switch (operation_.kind) {
      case Kind::insert:
        return insert();
      case Kind::remove:
        return remove();
      case Kind::event:
        return event();
      case Kind::read:
        return read();
      default:
        return move();
    }
  }

 private:
  std::optional<std::string> insert() {
    const auto flow = static_cast<std::uint8_t>(slot_count + number_);
    auto did = put({in_use, operation_.key, flow, 0}, false);
    if (!did || p_.insertion != read_word || p_.result == is_under_way) return did;
    if (p_.result == no_room) return lose("a connection finds no room", *did);
    return finish(*did);
  }

  // The look before flow_change(), and its first half, which are one step here. False: the slot
  // that was found has another flow now, or none.
  bool take_slot() {
    if (!holds(p_.slot, operation_.key)) return false;
    p_.seen = slot().state;
    return true;
  }
  // The other half of flow_change().
  bool swap(std::uint8_t state) {
    if (slot().state != p_.seen) return false;
    if (slot().key != operation_.key) fault_ = "what is meant for one flow happens to another";
    slot().state = state;
    return true;
  }

  std::string read() {
    enum : std::uint8_t { find, copy };
    if (p_.step == find) {
      const auto did = look_for(operation_.key);
      if (p_.search != 0) return did;
      if (p_.slot == no_slot) return lose("a reader misses a flow that is there", did);
      return go_to(copy, did);
    }
    if (take_slot()) return finish("reads slot " + at());
    if (p_.tries++ != 0)
      return lose("a reader misses a flow that is there", "no longer sees its flow in " + at());
    return go_to(find, "no longer sees its flow in slot " + at());
  }

  // As flow_advance() does.
  std::optional<std::string> event() {
    enum : std::uint8_t { find, look, change, look_again, read_state, look_at_key };
    switch (p_.step) {
      case find: {
        const auto did = look_for(operation_.key);
        if (p_.search != 0) return did;
        if (p_.slot == no_slot) return lose("an event is lost", did);
        if (!p_.has_seen) return go_to(look, did);
        return go_to(rules_.look_at_state_once ? look_again : read_state, did);
      }
      case look:
        p_.has_seen = take_slot();
        if (p_.has_seen) return go_to(change, "sees its flow in slot " + at());
        if (p_.tries++ != 0) return lose("an event is lost", "no longer sees its flow");
        return go_to(find, "no longer sees its flow in slot " + at());
      case change: {
        const auto flow = slot().flow;
        if (!swap(p_.seen | event_bit())) return go_to(look_again, "was too late for slot " + at());
        world_.noted[flow] |= event_bit();
        return finish("notes it in slot " + at());
      }
      case look_again:
        if (take_slot())
          return go_to(rules_.look_at_state_once ? change : read_state,
                       "sees its flow in slot " + at());
        if (!rules_.search_again)
          return lose("an event is lost", "no longer sees its flow in slot " + at());
        return go_to(find, "no longer sees its flow in slot " + at());
      case read_state:
        if (slot().state < in_use) return lose("an event is lost", "sees no flow in slot " + at());
        p_.seen = slot().state;
        return go_to(look_at_key, "reads the state of slot " + at());
      default:
        if (slot().state != p_.seen || slot().key != operation_.key)
          return go_to(look_again, "sees that slot " + at() + " has changed");
        return go_to(change, "sees its key in slot " + at());
    }
  }
  std::uint8_t event_bit() const { return static_cast<std::uint8_t>(first_event << number_); }

  std::optional<std::string> remove() {
    enum : std::uint8_t { find, look, swap_state, release };
    switch (p_.step) {
      case find: {
        const auto did = look_for(operation_.key);
        if (p_.search != 0) return did;
        return p_.slot == no_slot ? finish(did) : go_to(look, did);
      }
      case look:
        if (!take_slot()) return remove_again("no longer sees its flow in slot " + at());
        return go_to(swap_state, "sees its flow in slot " + at());
      case swap_state: {
        const auto flow = slot().flow;
        if (!swap(claimed)) return remove_again("was too late for slot " + at());
        world_.exists[flow] = 0;
        return go_to(release, "claims slot " + at());
      }
      default:
        free_slot(p_.slot);
        return finish("frees slot " + at());
    }
  }
  std::string remove_again(const std::string& what) {
    if (++p_.tries == most_removal_rounds) return finish(what);
    return go_to(0, what);
  }

  // As flow_rehome_some() does: names the new area, and then goes through the slots of the old one.
  enum MoveStep : std::uint8_t {
    begin,
    wait,
    look_at_slot,
    insert_copy,
    check_old,
    close_old,
    free_old,
    look_at_old,
    find_to_note,
    look_to_note,
    note,
    find_to_undo,
    look_to_undo,
    undo,
    free_undone,
    end
  };
  std::optional<std::string> move() {
    switch (p_.step) {
      case begin:
        return change_areas();
      case wait:
        if (rules_.wait_for_locks && world_.locked[world_.word.old]) return std::nullopt;
        return go_to(look_at_slot, "sees no lock in " + name(world_.word.old));
      case look_at_slot:
        return copy_slot();
      case insert_copy:
        return put_copy();
      case end:
        world_.word.moving = 0;
        if (p_.left) return finish("leaves the areas as they are");
        world_.word.old = world_.word.now;
        ++world_.word.changes;
        return finish("forgets the old area");
      default:
        return p_.step < find_to_note ? close() : p_.step < find_to_undo ? bring() : take_back();
    }
  }

  std::optional<std::string> change_areas() {
    auto& word = world_.word;
    if (word.moving) return std::nullopt;
    if (operation_.area != word.now) {
      word.old = word.now;
      word.now = operation_.area;
      ++word.changes;
    }
    if (word.now == word.old) return finish("has nothing to move");
    word.moving = 1;
    p_.from = first_slot(word.old);
    return go_to(wait, "makes " + name(word.now) + " the area");
  }
  std::string next_slot(const std::string& what, bool left = false) {
    let_rest_end();
    const auto next = static_cast<std::uint8_t>(p_.from + 1);
    const bool all_left = p_.left || left;
    p_ = Progress{};
    p_.left = all_left;
    p_.from = next;
    return go_to(next == end_of_slots(world_.word.old) ? end : look_at_slot, what);
  }
  std::string from() const { return "slot " + std::to_string(p_.from); }

  std::string copy_slot() {
    p_.copy = world_.slots[p_.from];
    p_.copy.rests = 0;
    p_.seen = p_.copy.state;
    if (p_.copy.state < in_use) return next_slot("sees no flow in " + from());
    return go_to(rules_.publish_before_close ? insert_copy : check_old, "copies " + from());
  }
  std::optional<std::string> put_copy() {
    const auto did = put(p_.copy, true);
    if (!did || p_.insertion != read_word || p_.result == is_under_way) return did;
    const auto result = p_.result;
    p_.result = is_under_way;
    if (!rules_.publish_before_close) return next_slot(*did);
    if (result != is_placed && result != key_exists) return next_slot(*did, true);
    p_.tries = result == key_exists;
    return go_to(check_old, *did);
  }

  // The old copy, as move_close() does.
  Slot& old_copy() { return world_.slots[p_.from]; }
  std::string close() {
    const bool only_once = p_.tries != 0;
    switch (p_.step) {
      case check_old:
        if (old_copy().state == p_.seen && old_copy().key == p_.copy.key)
          return go_to(close_old, "sees that " + from() + " is the same");
        if (only_once) return next_slot("sees that " + from() + " has changed", true);
        return go_to(look_at_old, "sees that " + from() + " has changed");
      case close_old:
        if (rules_.close_as_copied && old_copy().state != p_.seen) {
          if (only_once) return next_slot("was too late for " + from(), true);
          return go_to(look_at_old, "was too late for " + from());
        }
        must_be_copied(old_copy());
        old_copy().state = claimed;
        return go_to(free_old, "claims " + from());
      case free_old: {
        free_slot(p_.from);
        const auto what = "frees " + from();
        if (!rules_.publish_before_close) return go_to(insert_copy, what);
        if (p_.seen == p_.copy.state || !rules_.bring_notes) return next_slot(what);
        return go_to(rules_.know_copy ? look_to_note : find_to_note, what);
      }
      default:
        if (!holds(p_.from, p_.copy.key)) {
          const auto what = "sees that its flow has left " + from();
          if (!rules_.take_back_copies) return next_slot(what);
          return go_to(rules_.know_copy ? look_to_undo : find_to_undo, what);
        }
        p_.seen = old_copy().state;
        return go_to(close_old, "sees its flow in " + from());
    }
  }
  void must_be_copied(const Slot& slot) {
    if (slot.flow != p_.copy.flow) fault_ = "what is meant for one flow happens to another";
    if (slot.state < in_use) fault_ = "what is meant for a flow happens to a slot without one";
  }

  // What was noted in the old copy, as move_note() does.
  std::string bring() {
    constexpr auto events = static_cast<std::uint8_t>(~(first_event - 1U));
    switch (p_.step) {
      case find_to_note: {
        const auto did = look_for(p_.copy.key);
        if (p_.search != 0) return did;
        return p_.slot == no_slot ? next_slot(did) : go_to(look_to_note, did);
      }
      case look_to_note:
        p_.now = slot().state;
        if (rules_.note_in_flows_only && !holds(p_.slot, p_.copy.key))
          return next_slot("sees that its flow has left slot " + at());
        if ((p_.now ^ p_.copy.state) & events) return next_slot("sees a later state");
        if (slot().key != p_.copy.key) return bring_again("sees another key in slot " + at());
        return go_to(note, "sees its key in slot " + at());
      default:
        if (slot().state != p_.now) return bring_again("was too late for slot " + at());
        must_be_copied(slot());
        slot().state = static_cast<std::uint8_t>((p_.now & ~events) | (p_.seen & events));
        return next_slot("brings what was noted to slot " + at());
    }
  }

  std::string bring_again(const std::string& what) {
    return go_to(rules_.know_copy ? look_to_note : find_to_note, what);
  }

  // A flow that was removed while it was copied, as move_undo() does.
  std::string take_back() {
    switch (p_.step) {
      case find_to_undo: {
        const auto did = look_for(p_.copy.key);
        if (p_.search != 0) return did;
        return p_.slot == no_slot ? next_slot(did) : go_to(look_to_undo, did);
      }
      case look_to_undo:
        p_.now = slot().state;
        if (!holds(p_.slot, p_.copy.key))
          return next_slot("sees that its flow has left slot " + at());
        return go_to(undo, "sees its flow in slot " + at());
      case undo:
        if (slot().state != p_.now) return take_back_again("was too late for slot " + at());
        must_be_copied(slot());
        slot().state = claimed;
        return go_to(free_undone, "takes back the copy in slot " + at());
      default:
        free_slot(p_.slot);
        return next_slot("frees slot " + at());
    }
  }

  std::string take_back_again(const std::string& what) {
    if (!rules_.take_back_until_done) return next_slot(what);
    return go_to(rules_.know_copy ? look_to_undo : find_to_undo, what);
  }
};

World start(const Scenario& scenario) {
  World world;
  world.word = {scenario.now, scenario.old, 0, 0};
  for (const auto area : {small, whole}) {
    for (std::size_t n = 0; n < scenario.flows[area].size(); ++n) {
      const auto index = static_cast<std::uint8_t>(area * most_slots + n);
      if (scenario.flows[area][n] == '.') continue;
      world.slots[index] = {in_use, scenario.flows[area][n], index, 0};
      world.exists[index] = 1;
    }
  }
  return world;
}

std::string fault_of_slot(const World& world, std::size_t index) {
  const auto& slot = world.slots[index];
  if (slot.state == is_free) return {};
  if (slot.state < in_use) return "a slot stays claimed";
  if (!world.exists[slot.flow]) return "a flow that was removed is there again";
  if (const auto area = index / most_slots; area != world.word.now && area != world.word.old)
    return "a flow is where nobody looks";
  if ((slot.state & ~in_use) != world.noted[slot.flow]) return "an event is lost";
  return {};
}

// Checks what must hold once no operation is under way.
std::string fault_at_rest(const World& world, const Scenario& scenario) {
  for (std::size_t i = 0; i < scenario.operations.size(); ++i) {
    if (!world.progress[i].done) return "nobody can go on";
  }
  if (world.locked[small] || world.locked[whole]) return "a home stays locked";
  for (std::size_t i = 0; i < slot_count; ++i) {
    if (auto fault = fault_of_slot(world, i); !fault.empty()) return fault;
  }
  for (std::size_t flow = 0; flow < flow_count; ++flow) {
    const auto copies =
        std::count_if(world.slots.begin(), world.slots.end(),
                      [&](const Slot& slot) { return slot.state >= in_use && slot.flow == flow; });
    if (copies != world.exists[flow])
      return copies ? "a flow is in the table twice" : "a flow is gone that nobody removed";
  }
  return {};
}

const char* name(Kind kind) {
  const char* const names[] = {"insert", "remove", "event", "read", "move"};
  return names[static_cast<std::size_t>(kind)];
}

}  // namespace

Finding search(const Scenario& scenario, const Rules& rules) {
  const auto take = [&](World& world, std::size_t number) -> std::optional<Step> {
    Cpu cpu(world, scenario, rules, number);
    const auto did = cpu.advance();
    if (!did) return std::nullopt;
    const auto& operation = scenario.operations[number];
    auto who = "CPU " + std::to_string(number) + " (" + name(operation.kind);
    if (operation.key) who += std::string(" ") + operation.key;
    return Step{who + ") " + *did, cpu.fault()};
  };
  return explore(start(scenario), scenario.operations.size(), take,
                 [&](const World& world) { return fault_at_rest(world, scenario); });
}

}  // namespace sluice::test::areas
