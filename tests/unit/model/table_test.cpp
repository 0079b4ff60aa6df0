// A table's index says what a search of all its objects would.
#include "model/table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "model/objects.hpp"

namespace sluice::model {
namespace {

Uuid numbered(unsigned number) {
  Uuid id{};
  id.data[15] = static_cast<std::uint8_t>(number);
  return id;
}

template <typename Wanted>
std::vector<Uuid> searched(const Table<Member>& table, Wanted wanted) {
  std::vector<const Member*> found;
  for (const auto& [id, member] : table) {
    if (wanted(member)) found.push_back(&member);
  }
  std::ranges::stable_sort(found, {}, [](const Member* member) { return member->created_at; });
  std::vector<Uuid> ids;
  for (const auto* member : found) ids.push_back(member->id);
  return ids;
}

std::vector<Uuid> indexed(const Table<Member>& table, Facet facet, const Uuid& subject = {}) {
  std::vector<Uuid> ids;
  for (const auto* member : table.with(facet, subject)) ids.push_back(member->id);
  EXPECT_EQ(table.count(facet, subject), ids.size());
  const auto* first = table.first(facet, subject);
  EXPECT_EQ(first != nullptr, !ids.empty());
  if (first) {
    EXPECT_EQ(first->id, ids.front());
  }
  const auto order = table.in_order(facet, subject);
  EXPECT_EQ(order.size(), ids.size());
  for (std::size_t place = 0; place < ids.size(); ++place) {
    EXPECT_EQ(order[place].id, ids[place]);
    EXPECT_EQ(order.place_of(ids[place]), place);
  }
  return ids;
}

void expect_right_index(const Table<Member>& table) {
  for (unsigned pool = 0; pool < 4; ++pool) {
    EXPECT_EQ(indexed(table, Facet::parent, numbered(pool)),
              searched(table, [&](const Member& one) { return one.pool_id == numbered(pool); }));
  }
  EXPECT_EQ(indexed(table, Facet::any), searched(table, [](const Member&) { return true; }));
  EXPECT_EQ(indexed(table, Facet::draining),
            searched(table, [](const Member& one) { return one.drain_until.has_value(); }));
  EXPECT_EQ(indexed(table, Facet::unsettled), searched(table, [](const Member& one) {
              return one.provisioning_status != ProvisioningStatus::active;
            }));
  EXPECT_EQ(table.count_all(Facet::parent), table.size());
}

TEST(Table, ItsIndexIsWhatASearchFindsThroughRandomChanges) {
  std::mt19937 random(17);
  Table<Member> table;
  std::vector<std::pair<Table<Member>, std::vector<Uuid>>> kept;  // copies, and who was in them
  for (int step = 0; step < 2000; ++step) {
    Member member;
    member.id = numbered(random() % 60);
    member.pool_id = numbered(random() % 4);
    member.created_at = Timestamp(std::chrono::seconds(random() % 5));
    if (random() % 2 == 0) member.provisioning_status = ProvisioningStatus::active;
    if (random() % 4 == 0) member.drain_until = Timestamp{};
    if (random() % 3 == 0) {
      const bool there = table.contains(member.id);
      EXPECT_EQ(table.erase(member.id), there ? 1U : 0U);
    } else if (random() % 3 == 0 && table.contains(member.id)) {
      table.change(member.id)->pool_id = member.pool_id;
    } else {
      table.put(member);
    }
    if (step % 20 == 0) expect_right_index(table);
    if (step % 200 == 0) kept.emplace_back(table, indexed(table, Facet::any));
  }
  for (const auto& [copy, ids] : kept) {
    expect_right_index(copy);
    EXPECT_EQ(indexed(copy, Facet::any), ids) << "a copy stays what it was";
  }
}

TEST(Table, AnObjectWithoutTheFacetHasNoPlace) {
  Table<Member> table;
  Member member;
  member.id = numbered(1);
  member.pool_id = numbered(2);
  table.put(member);
  EXPECT_EQ(table.in_order(Facet::parent, numbered(2)).place_of(numbered(1)), 0U);
  EXPECT_EQ(table.in_order(Facet::parent, numbered(3)).place_of(numbered(1)), std::nullopt);
  EXPECT_EQ(table.in_order(Facet::any).place_of(numbered(3)), std::nullopt);
}

TEST(Table, AnObjectThatWasPutAgainUnchangedIsNoDifference) {
  Table<Member> before;
  for (unsigned number = 0; number < 10; ++number) {
    Member member;
    member.id = numbered(number);
    before.put(member);
  }
  auto after = before;
  after.put(before.at(numbered(3)));
  EXPECT_EQ(before, after);
  after.change(numbered(3))->weight = 5;
  EXPECT_NE(before, after);
}

TEST(Table, AddressesAreFoundWhateverTheirVersion) {
  Table<LoadBalancer> table;
  LoadBalancer object;
  object.id = numbered(1);
  const auto v4 = boost::asio::ip::make_address("10.0.0.16");
  const auto v6 = boost::asio::ip::make_address("2001:db8::16");
  object.vip_address = v4;
  object.additional_vips = {{v6, std::nullopt}};
  table.put(object);
  EXPECT_NE(table.first(Facet::address, subject(v4)), nullptr);
  EXPECT_NE(table.first(Facet::address, subject(v6)), nullptr);
  EXPECT_EQ(table.count_all(Facet::address), 2U);
  EXPECT_EQ(table.first(Facet::address, subject(boost::asio::ip::make_address("10.0.0.17"))),
            nullptr);
}

}  // namespace
}  // namespace sluice::model
