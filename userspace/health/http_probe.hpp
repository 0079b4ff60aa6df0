// HTTP and HTTPS probes request a page once and look at the status code.
#pragma once

#include <memory>

#include "health/stream_probe.hpp"
#include "health/tls_session.hpp"

namespace sluice::health {

// With `tls`, the probe is HTTPS. The settings are read during this call only.
std::unique_ptr<StreamProbe> make_http_probe(const Endpoint& member,
                                             const model::HealthMonitor& settings, TlsContext* tls,
                                             Probe::Done done);

}  // namespace sluice::health
