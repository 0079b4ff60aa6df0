// The record that the tests have in common: the example of maps/README.md.
#pragma once

#include <arpa/inet.h>

#include <cstring>
#include <span>

#include "maps/flow.h"
#include "maps/record.h"

namespace sluice::records {

inline sluice_address address(const char* text) {
  sluice_address result{};
  inet_pton(std::strchr(text, ':') ? AF_INET6 : AF_INET, text, &result);
  return result;
}

template <typename Record>
std::span<const std::byte> bytes_of(const Record& record) {
  return std::as_bytes(std::span(&record, 1));
}

inline sluice_record head(sluice_record_event event, sluice_record_end end = SLUICE_RECORD_NO_END) {
  sluice_record head{};
  head.nanoseconds = 1'000'000'000;
  head.state = SLUICE_STATE_PUT(LISTENER_IN_BANK, 3) | SLUICE_STATE_PUT(MEMBER, 7) |
               SLUICE_STATE_PUT(PROTOCOL, SLUICE_FLOW_TCP) | SLUICE_PHASE_OPEN;
  head.event = static_cast<__u8>(event);
  head.end = static_cast<__u8>(end);
  head.client_port = head.snat_port = htons(40000);
  head.vip_port = htons(80);
  head.member_port = htons(8080);
  return head;
}

inline sluice_record4 record4(sluice_record_event event,
                              sluice_record_end end = SLUICE_RECORD_NO_END) {
  sluice_record4 record{};
  record.head = head(event, end);
  record.head.family = 4;
  record.client = address("203.0.0.5").ipv4;
  record.vip = record.snat = address("10.0.0.16").ipv4;
  record.member = address("10.9.0.7").ipv4;
  return record;
}

inline sluice_record6 record6(sluice_record_event event,
                              sluice_record_end end = SLUICE_RECORD_NO_END) {
  sluice_record6 record{};
  record.head = head(event, end);
  record.head.family = 6;
  record.client = address("2001:db8:c::5");
  record.vip = record.snat = address("2001:db8::16");
  record.member = address("2001:db8::4");
  return record;
}

}  // namespace sluice::records
