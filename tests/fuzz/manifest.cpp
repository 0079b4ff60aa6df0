// A manifest: it is read, or refused with a reason; what was read is written so that it is read
// again as the same.
#include <cstdint>
#include <string>

#include "expect.hpp"
#include "sluicectl/manifest/file.hpp"

using sluice::fuzz::expect;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto item = sluice::ctl::read_manifest("lb.yaml", text);
  if (!item) {
    expect(item.error().text().starts_with("lb.yaml"), "a refusal names the file");
    return 0;
  }
  const auto written = sluice::ctl::write_manifest(*item);
  const auto again = sluice::ctl::read_manifest("lb.yaml", written);
  expect(again.has_value(), "what was written can be read");
  expect(sluice::ctl::write_manifest(*again) == written, "and is the same");
  return 0;
}
