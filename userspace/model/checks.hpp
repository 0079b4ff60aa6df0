// Checks of one object's attributes, without looking at any other object. Private to model/.
#pragma once

#include <initializer_list>

#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::model {

Result<void> check(const LoadBalancer& load_balancer);
Result<void> check(const Listener& listener);
Result<void> check(const Pool& pool);
Result<void> check(const Member& member);
Result<void> check(const HealthMonitor& monitor);
Result<void> check(const FloatingIp& floating_ip);

// Returns the first error; all results were evaluated.
Result<void> first_failure(std::initializer_list<Result<void>> results);

}  // namespace sluice::model
