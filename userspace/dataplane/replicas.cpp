#include "dataplane/replicas.hpp"

namespace sluice::dataplane {

Result<std::unique_ptr<Replicas>> open_replicas(const kernel::Program&) {
  return fail(ErrorKind::unsupported, "the data plane's program is older than replicas",
              "run: sluice-loader upgrade");
}

}  // namespace sluice::dataplane
