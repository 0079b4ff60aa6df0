// Recording: starts what writes records of connections, if the options want any.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "control/controller.hpp"
#include "dataplane/bpf_data_plane.hpp"
#include "options.hpp"
#include "records/recorder.hpp"

namespace sluice::daemon {

class Recording {
 public:
  // Opens the file and the collectors' sockets, while the process may still give a file to a group.
  static Result<Recording> open(boost::asio::io_context& loop, const Options& options);

  // Takes the data plane's records from now on, or has it write none. A data plane that can't
  // record is told in the log.
  void follow(dataplane::BpfDataPlane& data_plane);
  // Starts the thread that writes. The controller must outlive this.
  void start(control::Controller& controller);

  // Null: nothing is recorded.
  const records::Recorder::Counts* counts() const {
    return recorder_ ? &recorder_->counts() : nullptr;
  }

 private:
  explicit Recording(std::uint32_t one_of) : one_of_(one_of) {}

  std::uint32_t one_of_;
  std::unique_ptr<records::Recorder> recorder_;
};

}  // namespace sluice::daemon
