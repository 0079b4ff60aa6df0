// api_server: the API over a data plane in memory that can do everything, for compare.py to test
// the API alone, without kernel and root. It serves on DIRECTORY/api.sock until it is killed. With
// --hold what changes stays PENDING_* until SIGUSR1 comes, as with a provider that takes its time.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/program_options.hpp>
#include <csignal>
#include <iostream>

#include "api/server/endpoints.hpp"
#include "api/server/server.hpp"
#include "control/controller.hpp"
#include "store/sqlite_store.hpp"
#include "store/writer.hpp"
#include "tests/support/fake_data_plane.hpp"

namespace sluice {
namespace {

namespace po = boost::program_options;

struct Arguments {
  std::filesystem::path directory;
  std::string project;
  model::Networks networks;
  bool hold = false;
};

Result<Arguments> parse(int argc, char** argv) {
  po::options_description options;
  options.add_options()("directory", po::value<std::string>()->required())(
      "project-id", po::value<std::string>()->required())("hold", "")(
      "subnet", po::value<std::vector<std::string>>()->composing());
  po::variables_map values;
  try {
    po::store(po::parse_command_line(argc, argv, options), values);
    po::notify(values);
  } catch (const po::error& error) {
    return fail(ErrorKind::invalid, error.what());
  }
  Arguments arguments{values["directory"].as<std::string>(),
                      values["project-id"].as<std::string>(),
                      {},
                      values.count("hold") > 0};
  if (values.count("subnet") == 0) return arguments;
  for (const auto& line : values["subnet"].as<std::vector<std::string>>()) {
    if (auto done = arguments.networks.declare(line); !done) return tl::unexpected(done.error());
  }
  return arguments;
}

// Holds changes back until the signal comes, each time anew.
class Holder {
 public:
  Holder(boost::asio::io_context& loop, control::Controller& controller)
      : signal_(loop, SIGUSR1), controller_(controller) {
    controller_.set_hook(
        [this] { return letting_go_ ? control::Hook::none : control::Hook::hold; });
    wait();
  }

 private:
  void wait() {
    signal_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;
      letting_go_ = true;
      (void)controller_.repair_drift();
      letting_go_ = false;
      wait();
    });
  }

  boost::asio::signal_set signal_;
  control::Controller& controller_;
  bool letting_go_ = false;
};

Result<void> serve(const Arguments& arguments) {
  auto endpoints = api::Endpoints::open({.socket = arguments.directory / "api.sock"});
  if (!endpoints) return tl::unexpected(std::move(endpoints.error()));
  auto store = store::SqliteStore::open(arguments.directory / "state");
  if (!store) return tl::unexpected(std::move(store.error()));
  auto stored = store->load();
  if (!stored) return tl::unexpected(std::move(stored.error()));
  store::DirectWriter writer(*store);
  test::FakeDataPlane data_plane;
  auto controller = control::Controller::start(std::move(*stored), writer, data_plane);
  if (!controller) return tl::unexpected(std::move(controller.error()));
  (*controller)->set_networks(arguments.networks);
  boost::asio::io_context loop(1);
  std::optional<Holder> holder;
  if (arguments.hold) holder.emplace(loop, **controller);
  const api::Server server(loop, **controller, std::move(*endpoints),
                           {.default_project_id = arguments.project});
  loop.run();
  return {};
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  const auto arguments = sluice::parse(argc, argv);
  const auto done = arguments ? sluice::serve(*arguments)
                              : sluice::Result<void>(tl::unexpected(arguments.error()));
  if (done) return 0;
  fmt::print(std::cerr, "api_server: {}\n", done.error().text());
  return 1;
}
