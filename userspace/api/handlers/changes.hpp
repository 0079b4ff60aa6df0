// Changes: describes as events what a request did to the objects.
#pragma once

#include <memory>
#include <vector>

#include "api/language/event.hpp"
#include "model/objects.hpp"

namespace sluice::api {

// The comparison of two models: an event of kind "change" per object that was created, changed or
// deleted, with the attributes that differ. Marks of progress (provisioning_status, updated_at)
// don't count.
class ChangeReport {
 public:
  ChangeReport(const model::Model& before, const model::Model& after);
  ~ChangeReport();
  ChangeReport(ChangeReport&&) noexcept;
  ChangeReport& operator=(ChangeReport&&) noexcept;

  bool is_done() const;
  // Returns the next events: those of a few objects, or none.
  std::vector<Event> next();

 private:
  class Comparison;
  std::unique_ptr<Comparison> comparison_;
};

// Returns the whole report.
std::vector<Event> changes(const model::Model& before, const model::Model& after);

}  // namespace sluice::api
