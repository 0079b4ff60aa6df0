#include "store/schema.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

#include "base/uuid.hpp"

namespace sluice::store {
namespace {

// Step n leads from version n to n + 1. A step that was released never changes again: what comes
// later is a new one.
//
// Ids and addresses are text as the API shows them, times are microseconds since 1970. Foreign keys
// are checked at commit: within a transaction objects may come in any order. Tags belong to an
// object of any kind, so they have no foreign key and are removed together with their object.
constexpr const char* migrations[] = {R"sql(
CREATE TABLE load_balancers (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  admin_state_up INTEGER NOT NULL,
  provisioning_status TEXT NOT NULL,
  provisioning_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER,
  description TEXT NOT NULL,
  vip_address TEXT NOT NULL,
  vip_port_id TEXT NOT NULL,
  vip_subnet_id TEXT,
  vip_network_id TEXT
) STRICT;

CREATE TABLE pools (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  admin_state_up INTEGER NOT NULL,
  provisioning_status TEXT NOT NULL,
  provisioning_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER,
  description TEXT NOT NULL,
  load_balancer_id TEXT NOT NULL REFERENCES load_balancers(id) DEFERRABLE INITIALLY DEFERRED,
  protocol TEXT NOT NULL,
  lb_algorithm TEXT NOT NULL,
  forwarding_mode TEXT NOT NULL
) STRICT;
CREATE INDEX pools_by_load_balancer ON pools(load_balancer_id);

CREATE TABLE listeners (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  admin_state_up INTEGER NOT NULL,
  provisioning_status TEXT NOT NULL,
  provisioning_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER,
  description TEXT NOT NULL,
  load_balancer_id TEXT NOT NULL REFERENCES load_balancers(id) DEFERRABLE INITIALLY DEFERRED,
  protocol TEXT NOT NULL,
  protocol_port INTEGER NOT NULL,
  default_pool_id TEXT REFERENCES pools(id) DEFERRABLE INITIALLY DEFERRED,
  connection_limit INTEGER NOT NULL,
  timeout_client_data_ms INTEGER NOT NULL,
  timeout_member_connect_ms INTEGER NOT NULL,
  timeout_member_data_ms INTEGER NOT NULL,
  timeout_tcp_inspect_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX listeners_by_load_balancer ON listeners(load_balancer_id);
CREATE INDEX listeners_by_pool ON listeners(default_pool_id);

CREATE TABLE members (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  admin_state_up INTEGER NOT NULL,
  provisioning_status TEXT NOT NULL,
  provisioning_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER,
  pool_id TEXT NOT NULL REFERENCES pools(id) DEFERRABLE INITIALLY DEFERRED,
  address TEXT NOT NULL,
  protocol_port INTEGER NOT NULL,
  weight INTEGER NOT NULL,
  backup INTEGER NOT NULL,
  subnet_id TEXT,
  monitor_address TEXT,
  monitor_port INTEGER
) STRICT;
CREATE INDEX members_by_pool ON members(pool_id);

CREATE TABLE health_monitors (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  admin_state_up INTEGER NOT NULL,
  provisioning_status TEXT NOT NULL,
  provisioning_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER,
  pool_id TEXT NOT NULL REFERENCES pools(id) DEFERRABLE INITIALLY DEFERRED,
  type TEXT NOT NULL,
  delay_seconds INTEGER NOT NULL,
  timeout_seconds INTEGER NOT NULL,
  max_retries INTEGER NOT NULL,
  max_retries_down INTEGER NOT NULL,
  http_method TEXT NOT NULL,
  url_path TEXT NOT NULL,
  expected_codes TEXT NOT NULL,
  http_version TEXT,
  domain_name TEXT
) STRICT;
CREATE INDEX health_monitors_by_pool ON health_monitors(pool_id);

CREATE TABLE floating_ips (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  admin_state_up INTEGER NOT NULL,
  provisioning_status TEXT NOT NULL,
  provisioning_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER,
  address TEXT NOT NULL,
  load_balancer_id TEXT NOT NULL REFERENCES load_balancers(id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX floating_ips_by_load_balancer ON floating_ips(load_balancer_id);

CREATE TABLE tags (
  object_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  tag TEXT NOT NULL,
  PRIMARY KEY (object_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE member_health (
  member_id TEXT PRIMARY KEY NOT NULL REFERENCES members(id) ON DELETE CASCADE
    DEFERRABLE INITIALLY DEFERRED,
  health TEXT NOT NULL
) STRICT;
)sql",
                                      // 1 -> 2: access lists, persistence, floating IPs that are
                                      // only reserved.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN allowed_cidrs TEXT NOT NULL DEFAULT '';
ALTER TABLE pools ADD COLUMN session_persistence TEXT;
ALTER TABLE pools ADD COLUMN persistence_timeout_seconds INTEGER;
ALTER TABLE pools ADD COLUMN persistence_granularity TEXT;

CREATE TABLE new_floating_ips (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL,
  name TEXT NOT NULL,
  admin_state_up INTEGER NOT NULL,
  provisioning_status TEXT NOT NULL,
  provisioning_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER,
  description TEXT NOT NULL,
  address TEXT NOT NULL,
  network_id TEXT,
  load_balancer_id TEXT REFERENCES load_balancers(id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
INSERT INTO new_floating_ips
  SELECT id, project_id, name, admin_state_up, provisioning_status, provisioning_error,
         created_at, updated_at, '', address, NULL, load_balancer_id
  FROM floating_ips;
DROP TABLE floating_ips;
ALTER TABLE new_floating_ips RENAME TO floating_ips;
CREATE INDEX floating_ips_by_load_balancer ON floating_ips(load_balancer_id);
CREATE UNIQUE INDEX floating_ips_by_address ON floating_ips(address);
)sql",
                                      // 2 -> 3: a limit per client, and clients that are told.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN new_connection_limit INTEGER NOT NULL DEFAULT -1;
ALTER TABLE listeners ADD COLUMN on_no_member TEXT NOT NULL DEFAULT 'drop';
)sql",
                                      // 3 -> 4: VIPs on further subnets, and clients of
                                      // unknown ports that are told.
                                      R"sql(
ALTER TABLE load_balancers ADD COLUMN additional_vips TEXT NOT NULL DEFAULT '';
ALTER TABLE load_balancers ADD COLUMN on_unmatched TEXT NOT NULL DEFAULT 'drop';
)sql",
                                      // 4 -> 5: connections to members that are down may be
                                      // reset; those of older pools were kept, and still are.
                                      R"sql(
ALTER TABLE pools ADD COLUMN on_member_down TEXT NOT NULL DEFAULT 'keep';
)sql",
                                      // 5 -> 6: one row that says which store this is and how
                                      // many commits it has seen.
                                      R"sql(
CREATE TABLE identity (
  one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
  store_id TEXT NOT NULL,
  generation INTEGER NOT NULL
) STRICT;
)sql",
                                      // 6 -> 7: what clients compare with what they sent (the
                                      // provider's alias, addresses as typed), changes that failed,
                                      // and quotas.
                                      R"sql(
ALTER TABLE load_balancers ADD COLUMN provider TEXT NOT NULL DEFAULT 'sluice';
ALTER TABLE load_balancers ADD COLUMN change_failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE members ADD COLUMN typed_address TEXT NOT NULL DEFAULT '';
ALTER TABLE members ADD COLUMN typed_monitor_address TEXT NOT NULL DEFAULT '';

CREATE TABLE quotas (
  project_id TEXT PRIMARY KEY NOT NULL,
  load_balancer INTEGER NOT NULL,
  listener INTEGER NOT NULL,
  member INTEGER NOT NULL,
  pool INTEGER NOT NULL,
  health_monitor INTEGER NOT NULL,
  l7policy INTEGER NOT NULL,
  l7rule INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql",
                                      // 7 -> 8: ends of a drain, and idle times that are enforced.
                                      // What was stored as a data timeout had no effect, and has
                                      // none until it is set again.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN idle_timeout_seconds INTEGER;
ALTER TABLE listeners ADD COLUMN data_timeouts_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pools ADD COLUMN drain_timeout_seconds INTEGER;
ALTER TABLE members ADD COLUMN drain_until INTEGER;
)sql",
                                      // 8 -> 9: what happened, for audits.
                                      R"sql(
CREATE TABLE events (
  number INTEGER PRIMARY KEY NOT NULL,
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  object_type TEXT NOT NULL,
  object_id TEXT NOT NULL,
  object_name TEXT NOT NULL,
  project_id TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events(time);
CREATE INDEX events_by_object ON events(object_id, number);
CREATE INDEX events_by_project ON events(project_id, number);
)sql",
                                      // 9 -> 10: SYNs that are authenticated in a flood; those for
                                      // older listeners were not, and are not by an upgrade.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN syn_authentication TEXT NOT NULL DEFAULT 'off';
)sql",
                                      // 10 -> 11: nodes that are drained.
                                      R"sql(
CREATE TABLE drained_nodes (
  name TEXT PRIMARY KEY NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql",
                                      // 11 -> 12: members that may have only so many connections.
                                      R"sql(
ALTER TABLE members ADD COLUMN max_connections INTEGER;
)sql",
                                      // 12 -> 13: members that start slowly.
                                      R"sql(
ALTER TABLE pools ADD COLUMN slow_start_seconds INTEGER;
)sql",
                                      // 13 -> 14: idle times that end with resets.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN on_idle TEXT NOT NULL DEFAULT 'forget';
)sql",
                                      // 14 -> 15: listeners with several ports.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN protocol_port_range INTEGER;
)sql",
                                      // 15 -> 16: listeners that schedule datagrams.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN udp_scheduling TEXT NOT NULL DEFAULT 'session';
)sql",
                                      // 16 -> 17: monitors that run a program, by its name.
                                      R"sql(
ALTER TABLE health_monitors ADD COLUMN check_name TEXT NOT NULL DEFAULT '';
)sql",
                                      // 17 -> 18: load balancers that only nodes with
                                      // members announce.
                                      R"sql(
ALTER TABLE load_balancers ADD COLUMN announce TEXT NOT NULL DEFAULT 'always';
)sql",
                                      // 18 -> 19: listeners whose connections are not recorded.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN records INTEGER NOT NULL DEFAULT 1;
)sql",
                                      // 19 -> 20: source addresses toward members.
                                      R"sql(
ALTER TABLE load_balancers ADD COLUMN snat_addresses TEXT NOT NULL DEFAULT '';
)sql",
                                      // 20 -> 21: a connect timeout that is the default, and meant.
                                      R"sql(
ALTER TABLE listeners ADD COLUMN connect_timeout_set INTEGER NOT NULL DEFAULT 0;
)sql",
                                      // 21 -> 22: members of both IP versions side by side.
                                      R"sql(
ALTER TABLE pools ADD COLUMN mixed_versions INTEGER NOT NULL DEFAULT 0;
)sql",
                                      // 22 -> 23: monitors that ask for the VIP at the member.
                                      R"sql(
ALTER TABLE health_monitors ADD COLUMN probe_vip INTEGER NOT NULL DEFAULT 0;
)sql"};

constexpr int has_identity = 6;

// Gives the store its own id. SQL can't make one: it is a UUID as the objects have.
Result<void> give_identity(Connection& connection) {
  return connection.execute(
      fmt::format("INSERT INTO identity (one, store_id, generation) VALUES (1, '{}', 0) "
                  "ON CONFLICT DO NOTHING",
                  to_string(new_uuid())));
}

Result<void> migrate_one_step(Connection& connection, int version) {
  auto transaction = Transaction::begin(connection);
  if (!transaction) return tl::unexpected(transaction.error());
  if (auto done = connection.execute(migrations[version]); !done) return done;
  if (version + 1 == has_identity) {
    if (auto done = give_identity(connection); !done) return done;
  }
  if (auto done = connection.execute(fmt::format("PRAGMA user_version = {}", version + 1)); !done) {
    return done;
  }
  return transaction->commit();
}

}  // namespace

int newest_schema() {
  return static_cast<int>(std::size(migrations));
}

Result<int> schema_of(Connection& connection) {
  const auto text = connection.query_one("PRAGMA user_version");
  if (!text) return tl::unexpected(text.error());
  int version = 0;
  std::from_chars(text->data(), text->data() + text->size(), version);
  return version;
}

Result<void> migrate(Connection& connection) {
  const auto found = schema_of(connection);
  if (!found) return tl::unexpected(found.error());
  int version = *found;
  if (version > newest_schema() || version < 0) {
    return fail(ErrorKind::unsupported,
                fmt::format("it was written by a newer Sluice (schema {}, this program knows {})",
                            version, newest_schema()),
                "install that version again, or choose another --state-dir");
  }
  for (; version < newest_schema(); version++) {
    if (auto done = migrate_one_step(connection, version); !done) {
      return fail(std::move(done.error()), fmt::format("migrate from schema {}", version));
    }
  }
  return {};
}

}  // namespace sluice::store
