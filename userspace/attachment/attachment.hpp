// Attachment: attaches the XDP program to NICs and detaches it, for sluice-loader and sluiced's
// --interface.
//
// attach() is all or nothing: a failure undoes what the call did, down to the freshly pinned maps.
// The order per NIC (interface slot, forwarding, program) lets no packet meet a half-built state;
// detach goes in reverse.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kernel/pins.hpp"

namespace sluice::attachment {

enum class AttachMode {
  automatic,  // native, or generic when the driver refuses
  native,     // in the driver
  generic,    // in the network stack: works on every NIC, slower
};
enum class XdpMode { none, native, generic, hardware };
const char* to_string(XdpMode mode);

struct AttachRequest {
  std::filesystem::path pin_directory = kernel::default_pin_directory;
  std::vector<std::string> interfaces;
  AttachMode mode = AttachMode::automatic;
  bool shared = false;  // through libxdp's dispatcher, beside other XDP programs
  // The flow table's size in connections. A pinned table of another size is resized under traffic
  // and keeps its connections.
  std::optional<std::uint32_t> flows;
};

struct AttachedNic {
  std::string interface;
  XdpMode mode = XdpMode::none;
  bool already_attached = false;           // nothing was done
  std::string native_refusal;              // why automatic fell back to generic
  std::vector<std::string> settings = {};  // changed: "net.ipv4.conf.eth0.forwarding=1"
  bool shared = false;
  bool dispatcher = false;  // shared, and libxdp could use its dispatcher
};

struct AttachReport {
  bool loaded = false;  // false: pinned programs and maps were adopted
  std::uint32_t flow_capacity = 0;
  std::optional<std::uint32_t> flows_before;  // set: the flow table had this size
  std::uint64_t connections_moved = 0;        // about, when it was resized
  std::uint64_t map_bytes = 0;                // kernel memory of all maps
  std::vector<AttachedNic> nics;
};
Result<AttachReport> attach(const AttachRequest& request);

struct DetachedNic {
  std::string interface;
  bool was_gone = false;                   // the interface had vanished; its leftovers were removed
  std::vector<std::string> settings = {};  // put back: "net.ipv4.conf.eth0.forwarding=0"
};
// Is called before the first NIC loses its program, while nobody else may attach or detach; an
// error ends the work there.
using BeforeDetaching = std::function<Result<void>()>;
// Detaches the program from these NICs; maps stay pinned. If one isn't attached, nothing is done
// and ErrorKind::not_found names it.
Result<std::vector<DetachedNic>> detach(const std::filesystem::path& pin_directory,
                                        const std::vector<std::string>& interfaces,
                                        const BeforeDetaching& before = {});
// Detaches the program from all NICs and removes all pins, and with them all state.
Result<std::vector<DetachedNic>> detach_all(const std::filesystem::path& pin_directory,
                                            const BeforeDetaching& before = {});

// One NIC as `status` shows it.
struct Attachment {
  std::string interface;    // its name now; that of the pin when it is gone or elsewhere
  std::uint32_t index = 0;  // 0: the interface is gone, this is a leftover
  bool here = false;        // it is in this network namespace
  bool shared = false;
  bool dispatcher = false;       // shared, and under libxdp's dispatcher
  XdpMode mode = XdpMode::none;  // known only when here
  std::filesystem::path pin;     // of the link, or of the shared program
  std::uint32_t link_id = 0;     // 0 when shared
  std::uint32_t program_id = 0;
};
Result<std::vector<Attachment>> attachments(const std::filesystem::path& pin_directory);

struct UpgradeReport {
  std::uint32_t old_program_id = 0, new_program_id = 0;
  std::string old_tag, new_tag;
  std::vector<std::string> interfaces;
  // The connections that were carried to flow tables of another layout (crossing.hpp).
  std::optional<std::uint64_t> carried;
};
// Replaces the programs by this build's under live traffic, on all NICs or none. Refuses maps that
// this build can't use, but for flow tables of another layout, whose connections it carries over.
// While somebody else attaches, detaches or upgrades it waits for `patience`, and fails with
// ErrorKind::conflict then.
Result<UpgradeReport> upgrade(const std::filesystem::path& pin_directory,
                              std::chrono::milliseconds patience = std::chrono::seconds(30));

}  // namespace sluice::attachment
