// LostAnswer: what became of a change whose answer was lost, because the connection broke, sluiced
// was restarted, or the answer took too long. sluiced stores a change and its event in one commit,
// and the event has the request's id: so the events tell a lost answer from a lost change.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "sluicectl/transport/http.hpp"

namespace sluice::ctl {

struct LostAnswer {
  enum class Fate { made, refused, unknown };

  Fate fate = Fate::unknown;
  std::string refusal;  // "POST /v2/lbaas/pools -> 409 ..."
};

// Asks for the request's event, for some seconds if need be: sluiced may be starting.
LostAnswer find_lost_answer(Transport& transport, const std::string& request_id,
                            const std::function<void(std::chrono::milliseconds)>& sleep);

// Says it to the user. `how` is what happened to the answer.
Error lost_answer_error(const LostAnswer& found, const std::string& request_id,
                        const std::string& how);

}  // namespace sluice::ctl
