#include "sluicectl/output/pcapng.hpp"

#include <cstring>

namespace sluice::ctl {
namespace {

enum BlockType : std::uint32_t {
  section_header = 0x0a0d0d0a,
  interface_description = 1,
  enhanced_packet = 6
};
enum OptionCode : std::uint16_t {
  end_of_options = 0,
  comment = 1,
  interface_name = 2,  // of an interface description
  packet_flags = 2,    // of an enhanced packet
  user_application = 4,
  time_resolution = 9,
};
constexpr std::uint32_t byte_order_magic = 0x1a2b3c4d;
constexpr std::uint16_t ethernet = 1;  // LINKTYPE_ETHERNET
constexpr std::uint8_t nanoseconds = 9;
constexpr std::uint32_t inbound = 1, outbound = 2;

// The body of a block, in which everything begins at a multiple of four bytes.
class Block {
 public:
  template <typename T>
  Block& number(T value) {
    body_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Block& bytes(const void* data, std::size_t size) {
    body_.append(static_cast<const char*>(data), size);
    body_.append((4 - size % 4) % 4, '\0');
    return *this;
  }
  Block& option(OptionCode code, const void* data, std::size_t size) {
    return number(static_cast<std::uint16_t>(code))
        .number(static_cast<std::uint16_t>(size))
        .bytes(data, size);
  }
  Block& option(OptionCode code, std::string_view text) {
    return option(code, text.data(), text.size());
  }

  void write(std::ostream& out, BlockType type) {
    const std::uint32_t head[] = {
        type, static_cast<std::uint32_t>(body_.size() + 3 * sizeof(std::uint32_t))};
    out.write(reinterpret_cast<const char*>(head), sizeof head);
    out.write(body_.data(), static_cast<std::streamsize>(body_.size()));
    out.write(reinterpret_cast<const char*>(&head[1]), sizeof head[1]);
  }

 private:
  std::string body_;
};

}  // namespace

PcapngWriter::PcapngWriter(std::ostream& out, std::string_view application) : out_(out) {
  constexpr std::uint16_t major = 1, minor = 0;
  constexpr std::int64_t unknown_length = -1;
  Block()
      .number(byte_order_magic)
      .number(major)
      .number(minor)
      .number(unknown_length)
      .option(user_application, application)
      .option(end_of_options, "")
      .write(out_, section_header);
}

std::uint32_t PcapngWriter::number_of(const std::string& interface) {
  const auto [found, is_new] =
      interfaces_.emplace(interface, static_cast<std::uint32_t>(interfaces_.size()));
  if (is_new) {
    constexpr std::uint16_t reserved = 0;
    constexpr std::uint32_t no_limit = 0;
    Block()
        .number(ethernet)
        .number(reserved)
        .number(no_limit)
        .option(interface_name, interface)
        .option(time_resolution, &nanoseconds, sizeof nanoseconds)
        .option(end_of_options, "")
        .write(out_, interface_description);
  }
  return found->second;
}

void PcapngWriter::write(const CapturedFrame& frame) {
  const auto direction = frame.outbound ? outbound : inbound;
  const auto interface = number_of(frame.interface);
  Block()
      .number(interface)
      .number(static_cast<std::uint32_t>(frame.nanoseconds >> 32))
      .number(static_cast<std::uint32_t>(frame.nanoseconds))
      .number(static_cast<std::uint32_t>(frame.bytes.size()))
      .number(frame.length)
      .bytes(frame.bytes.data(), frame.bytes.size())
      .option(comment, frame.comment)
      .option(packet_flags, &direction, sizeof direction)
      .option(end_of_options, "")
      .write(out_, enhanced_packet);
}

}  // namespace sluice::ctl
