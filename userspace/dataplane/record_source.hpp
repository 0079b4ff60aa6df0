// RecordSource: the data plane's records of connections (maps/record.h), for records::Recorder.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.hpp"
#include "records/recorder.hpp"

namespace sluice::kernel {
class Program;
}

namespace sluice::dataplane {

// Reads the records of this program. It has descriptors of its own, so another thread may use it,
// and go on when the program is replaced. An error if the program is older than records.
Result<std::unique_ptr<records::Source>> open_records(const kernel::Program& program);

// Writes `listener_records`: of how many connections one is recorded, by listener index. A program
// that is older than records has none anyway.
Result<void> write_one_of(const kernel::Program& program, const std::vector<std::uint32_t>& one_of);

}  // namespace sluice::dataplane
