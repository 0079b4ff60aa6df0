#include "fleet/inquiry.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "fleet/json_fields.hpp"

namespace sluice::fleet {
namespace json = boost::json;
namespace {

json::object to_json(const control::Counters& counters) {
  return {{"packets_in", counters.packets_in},     {"bytes_in", counters.bytes_in},
          {"packets_out", counters.packets_out},   {"bytes_out", counters.bytes_out},
          {"flows_opened", counters.flows_opened}, {"flows_ended", counters.flows_ended},
          {"flows_failed", counters.flows_failed}, {"flows_refused", counters.flows_refused}};
}

control::Counters counters_from(const json::object& object) {
  return {.packets_in = number_at(object, "packets_in"),
          .bytes_in = number_at(object, "bytes_in"),
          .packets_out = number_at(object, "packets_out"),
          .bytes_out = number_at(object, "bytes_out"),
          .flows_opened = number_at(object, "flows_opened"),
          .flows_ended = number_at(object, "flows_ended"),
          .flows_failed = number_at(object, "flows_failed"),
          .flows_refused = number_at(object, "flows_refused")};
}

}  // namespace

std::string Question::text() const {
  json::array ids;
  for (const auto& id : listeners) ids.emplace_back(to_string(id));
  return json::serialize(json::object{
      {"number", number}, {"listeners", std::move(ids)}, {"connections", connections}});
}

std::optional<Question> Question::parse(const std::string& text) {
  const auto object = parse_object(text);
  if (!object) return std::nullopt;
  const auto* connections = object->if_contains("connections");
  Question question{number_at(*object, "number"),
                    {},
                    connections && connections->is_bool() && connections->get_bool()};
  const auto* ids = object->if_contains("listeners");
  if (!ids || !ids->is_array()) return question;
  for (const auto& id : ids->get_array()) {
    if (const auto uuid = id.is_string() ? parse_uuid(id.get_string()) : std::nullopt)
      question.listeners.insert(*uuid);
  }
  return question;
}

std::string CountsAnswer::text() const {
  json::object listeners;
  for (const auto& [id, counters] : counts.listeners)
    listeners.emplace(to_string(id), to_json(counters));
  return json::serialize(json::object{{"number", number},
                                      {"connections", counts.connections},
                                      {"listeners", std::move(listeners)}});
}

std::optional<CountsAnswer> CountsAnswer::parse(const std::string& text) {
  const auto object = parse_object(text);
  if (!object) return std::nullopt;
  CountsAnswer answer{number_at(*object, "number"), {number_at(*object, "connections"), {}}};
  const auto* listeners = object->if_contains("listeners");
  if (!listeners || !listeners->is_object()) return answer;
  for (const auto& [id, counters] : listeners->get_object()) {
    const auto uuid = parse_uuid(id);
    if (uuid && counters.is_object())
      answer.counts.listeners.emplace(*uuid, counters_from(counters.get_object()));
  }
  return answer;
}

void Inquiry::ask(std::set<Uuid> listeners, bool connections, Done done) {
  next_.push_back({std::move(listeners), connections, std::move(done)});
  if (asking_.empty()) put_question();
}

// Those who ask while a question is under way share the next one.
void Inquiry::put_question() {
  asking_ = std::exchange(next_, {});
  if (asking_.empty()) return;
  Question question{++number_, {}, false};
  for (const auto& one : asking_) {
    question.listeners.insert(one.listeners.begin(), one.listeners.end());
    question.connections = question.connections || one.connections;
  }
  if (is_answered()) return conclude();  // nobody else is there
  ways_.write(keys_.question_of(node_), question.text());
  ways_.after(patience, [this, number = number_] {
    if (number == number_ && !asking_.empty()) conclude();
  });
}

bool Inquiry::is_answered() const {
  const auto others = ways_.others();
  return std::ranges::all_of(others, [&](const auto& name) {
    const auto found = answered_.find(name);
    return found != answered_.end() && found->second == number_;
  });
}

void Inquiry::conclude() {
  control::FleetCounts counts;
  for (const auto& name : ways_.others()) {
    if (const auto found = counted_.find(name); found != counted_.end())
      counts.nodes.emplace(name, found->second);
    const auto found = answered_.find(name);
    if (found == answered_.end() || found->second != number_) counts.missing.push_back(name);
  }
  for (const auto& one : std::exchange(asking_, {})) one.done(counts);
  if (asking_.empty()) put_question();
}

void Inquiry::reset(const std::vector<KeyValue>& all) {
  for (const auto& entry : all) take(entry);
}

void Inquiry::follow(const std::vector<Change>& changes) {
  for (const auto& [entry, removed] : changes) {
    if (!removed) take(entry);
  }
}

void Inquiry::take(const KeyValue& entry) {
  const auto& [key, value, modified] = entry;
  if (key.starts_with(keys_.questions())) {
    const auto asker = key.substr(keys_.questions().size());
    const auto question = Question::parse(value);
    if (asker == node_ || !question || told_[asker] == question->number) return;
    told_[asker] = question->number;
    ways_.write(keys_.answer_of(asker, node_),
                CountsAnswer{question->number, ways_.count(*question)}.text());
    return;
  }
  const auto mine = keys_.answers_to(node_);
  if (!key.starts_with(mine)) return;
  auto answer = CountsAnswer::parse(value);
  if (!answer) return;
  const auto name = key.substr(mine.size());
  answered_[name] = answer->number;
  auto& counted = counted_[name];
  if (counted.listeners.size() > most_remembered) counted.listeners.clear();
  counted.connections = answer->counts.connections;
  for (const auto& [id, counters] : answer->counts.listeners) counted.listeners[id] = counters;
  if (!asking_.empty() && is_answered()) conclude();
}

}  // namespace sluice::fleet
