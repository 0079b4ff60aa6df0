// idle_flows: puts idle connections into a pinned data plane, for measurements beside many of them.
//
// Usage: idle_flows PIN_DIRECTORY COUNT. They are copies of one that is there (IPv4, TCP, open),
// each of a client of its own in 198.18.0.0/15 (RFC 2544), whose address the member sees. No packet
// of theirs ever comes.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/flow_images.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"

namespace sluice {
namespace {

constexpr std::uint32_t first_client = 0xc6120000, clients = 1U << 17;
constexpr std::uint16_t first_port = 1024;

Result<std::optional<sluice_flow_image>> find_open(const kernel::Program& program) {
  std::optional<sluice_flow_image> found;
  const auto look = [&found](auto images) {
    for (const auto& image : images) {
      if (image.protocol == SLUICE_FLOW_TCP &&
          image.phase == SLUICE_PHASE_OPEN / SLUICE_FLOW_REPLIED)
        found = image;
    }
    return !found;
  };
  return dataplane::walk_images(program.walk_fd(), 4, look).map([&] { return found; });
}

std::vector<sluice_flow_image> copies_of(const sluice_flow_image& one, std::uint32_t count) {
  std::vector<sluice_flow_image> copies(count, one);
  for (std::uint32_t i = 0; i < count; ++i) {
    auto& copy = copies[i];
    copy.client.ipv4 = htonl(first_client + i % clients);
    copy.client_port = htons(static_cast<std::uint16_t>(first_port + i / clients));
    copy.source = copy.client;
    copy.source_port = copy.client_port;
    copy.flags = SLUICE_IMAGE_KEEPS_CLIENT;
  }
  return copies;
}

Result<std::string> put_idle(const std::string& pins, std::uint32_t count) {
  const auto program = kernel::Program::open_pinned(pins);
  if (!program) return tl::unexpected(program.error());
  const auto open = find_open(*program);
  if (!open) return tl::unexpected(open.error());
  if (!*open) return fail(ErrorKind::not_found, "there is no open TCP connection to copy");
  auto copies = copies_of(**open, count);
  const auto began = std::chrono::steady_clock::now();
  if (auto done = dataplane::put_images(program->put_fd(), copies, dataplane::Counted::not_yet);
      !done)
    return tl::unexpected(std::move(done.error()));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  const auto put = std::count_if(copies.begin(), copies.end(),
                                 [](const auto& image) { return image.result == SLUICE_PUT_DONE; });
  return fmt::format("{} connections were put in {:.2f} s", put, took.count());
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("Usage: idle_flows PIN_DIRECTORY COUNT\n", stderr);
    return 2;
  }
  const auto count = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
  const auto said = sluice::put_idle(argv[1], count);
  if (!said) {
    fmt::print(stderr, "idle_flows: {}\n", said.error().text());
    return 1;
  }
  fmt::print("{}\n", *said);
  return 0;
}
