#include "peers/datagram.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "example.hpp"

namespace sluice::peers {
namespace {

const Salt salt = {1, 2, 3};

Bytes body_with(const Bytes& part) {
  auto body = begin_body(salt);
  body.insert(body.end(), part.begin(), part.end());
  return body;
}

bool is_same(const sluice_flow_image& one, const sluice_flow_image& other) {
  return std::memcmp(&one, &other, sizeof one) == 0;
}

TEST(Datagram, SaysWhatItWasTold) {
  auto body = begin_body(salt);
  const Status status{.stream = 7, .next = 1ULL << 40U, .is_walking = true, .has_told_own = true};
  const Acknowledgement acknowledgement{
      .stream = 9, .next = 4, .wanted = 2, .missing = {{4, 6}, {9, 10}}};
  append_hello(body, "lb1");
  append(body, status);
  append(body, acknowledgement);

  const auto read = parse(body);
  ASSERT_TRUE(read);
  EXPECT_EQ(salt, read->to);
  EXPECT_EQ("lb1", read->name);
  EXPECT_EQ(status, read->status);
  EXPECT_EQ(acknowledgement, read->acknowledgement);
  EXPECT_TRUE(read->batches.empty());
}

TEST(Datagram, CarriesConnectionsOfBothFamilies) {
  for (const std::uint8_t family : {4, 6}) {
    BatchWriter writer(family);
    ASSERT_TRUE(writer.add(begins(4711, family)));
    ASSERT_TRUE(writer.add(ends(4712, family)));
    ASSERT_TRUE(writer.add({dataplane::FlowEvent::refreshed, connection(4713, family)}));
    ASSERT_TRUE(writer.add({dataplane::FlowEvent::kept, connection(4714, family)}));
    const auto read = parse(body_with(writer.take(3, 12)));
    ASSERT_TRUE(read);
    ASSERT_EQ(1U, read->batches.size());
    const auto& batch = read->batches[0];
    EXPECT_EQ(3U, batch.stream);
    EXPECT_EQ(12U, batch.sequence);
    ASSERT_EQ(4U, batch.changes.size());
    EXPECT_EQ(dataplane::FlowEvent::begins, batch.changes[0].event);
    EXPECT_EQ(dataplane::FlowEvent::ends, batch.changes[1].event);
    EXPECT_EQ(dataplane::FlowEvent::refreshed, batch.changes[2].event);
    EXPECT_EQ(dataplane::FlowEvent::kept, batch.changes[3].event);
    for (std::uint16_t i = 0; i < 4; ++i)
      EXPECT_TRUE(is_same(connection(4711 + i, family), batch.changes[i].image)) << i;
  }
}

TEST(Datagram, IsFullBeforeItIsTooLarge) {
  for (const auto& [family, least] : {std::pair{4, 33}, std::pair{6, 14}}) {
    BatchWriter writer(static_cast<std::uint8_t>(family));
    std::uint16_t added = 0;
    while (writer.add(begins(added, static_cast<std::uint8_t>(family)))) ++added;
    EXPECT_GE(added, least);
    EXPECT_EQ(added, writer.records());
    const auto body = body_with(writer.take(1, 0));
    EXPECT_LE(body.size(), max_body);
    EXPECT_EQ(added, parse(body)->batches[0].changes.size());
    EXPECT_TRUE(writer.is_empty());
    EXPECT_TRUE(writer.add(begins(1, static_cast<std::uint8_t>(family)))) << "the next one begins";
  }
}

TEST(Datagram, OfANewerReleaseIsUnderstood) {
  BatchWriter writer(4);
  writer.add(begins(1));
  auto part = writer.take(1, 0);
  // The record has an attribute more: its size says so.
  part.push_back(0x55);
  part[4 + 13] += 1;
  part[3] += 1;
  auto body = begin_body(salt);
  body.insert(body.end(), {200, 0, 0, 3, 1, 2, 3});  // a part of an unknown type
  body.insert(body.end(), part.begin(), part.end());
  // A status with an attribute more.
  body.insert(body.end(), {2, 0, 0, 15, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 1, 9, 9});

  const auto read = parse(body);
  ASSERT_TRUE(read);
  ASSERT_EQ(1U, read->batches.size());
  ASSERT_EQ(1U, read->batches[0].changes.size());
  EXPECT_TRUE(is_same(connection(1), read->batches[0].changes[0].image));
  EXPECT_EQ((Status{.stream = 5, .next = 6, .is_walking = true}), read->status);
}

TEST(Datagram, SkipsEventsThatItDoesNotKnow) {
  BatchWriter writer(4);
  writer.add({static_cast<dataplane::FlowEvent>(77), connection(1)});
  writer.add(begins(2));
  const auto read = parse(body_with(writer.take(1, 0)));
  ASSERT_TRUE(read);
  ASSERT_EQ(1U, read->batches[0].changes.size());
  EXPECT_EQ(connection(2).client_port, read->batches[0].changes[0].image.client_port);
}

TEST(Datagram, ThatIsCutIsRefusedWherePartsAreCut) {
  BatchWriter writer(6);
  writer.add(begins(1, 6));
  auto body = begin_body(salt);
  append_hello(body, "lb1");
  const auto after_hello = body.size();
  const auto batch = writer.take(1, 0);
  body.insert(body.end(), batch.begin(), batch.end());
  for (std::size_t length = 0; length < body.size(); ++length) {
    const bool is_whole = length == sizeof(Salt) || length == after_hello;
    EXPECT_EQ(is_whole, parse(View(body).first(length)).has_value()) << length;
  }
}

TEST(Datagram, WithAnIdThatIsNotThereIsRefused) {
  BatchWriter writer(4);
  writer.add(begins(1));
  auto part = writer.take(1, 0);
  part.back() = 2;  // the member's place; there are two ids
  EXPECT_FALSE(parse(body_with(part)));
}

TEST(Datagram, WithARangeThatIsNoneIsRefused) {
  auto body = begin_body(salt);
  append(body, Acknowledgement{.stream = 1, .next = 4, .wanted = 0, .missing = {{6, 6}}});
  EXPECT_FALSE(parse(body));
}

}  // namespace
}  // namespace sluice::peers
