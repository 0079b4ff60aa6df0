// Flow images: reads the connections of a data plane as images, and puts images into its flow
// tables (maps/flow_image.h), through its own programs, under traffic.
//
// The programs of the two ends may be of different builds: the one that reads knows the layout of
// its tables, the one that puts knows that of the others.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>

#include "base/result.hpp"
#include "base/uuid.hpp"
#include "kernel/program.hpp"
#include "maps/flow_image.h"

namespace sluice::dataplane {

// Calls `visit` with the connections of one IP version (4 or 6), a batch at a time, until it
// returns false. It gets every connection that lives as long as the walk, some of them perhaps
// twice. ErrorKind::conflict: flows are being moved and go on being moved.
Result<void> walk_images(int walk_fd, std::uint32_t family,
                         const std::function<bool(std::span<const sluice_flow_image>)>& visit);

enum class Counted {
  already,  // in the maps of these tables, whose indices the images have
  not_yet,  // they come from elsewhere
};
// Does with the images, of either IP version, what `request` says, and leaves in each what became
// of it. Those of one IP version should be side by side. ErrorKind::conflict: as above; the images
// that were not tried say so.
Result<void> put_images(int put_fd, std::span<sluice_flow_image> images, Counted counted,
                        sluice_put_request request = SLUICE_PUT_INSERT);

// What operators are told of a sluice_flow_put_result: "another connection has its source port".
const char* to_string(sluice_flow_put_result result);

// The indices that listeners and members have in the maps of one data plane, for images of others.
class ImageIndices {
 public:
  static Result<ImageIndices> read(const kernel::Program& program);
  // Gives the image the indices of this data plane; false if it doesn't know both ids.
  bool set(sluice_flow_image& image) const;

 private:
  std::map<Uuid, std::uint32_t> listeners_, members_;
};

}  // namespace sluice::dataplane
