-- A store that a program of schema 4 wrote.
BEGIN TRANSACTION;
CREATE TABLE "floating_ips" (
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
INSERT INTO "floating_ips" VALUES('00000006-0000-4000-8000-000000000000','project','',1,'ACTIVE','',1530000000123462,NULL,'','172.24.4.10',NULL,'00000001-0000-4000-8000-000000000000');
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
INSERT INTO "health_monitors" VALUES('00000005-0000-4000-8000-000000000000','project','80_healthcheck',1,'ACTIVE','',1530000000123461,NULL,'00000002-0000-4000-8000-000000000000','HTTP',60,20,2,3,'GET','/health','200',NULL,NULL);
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
, allowed_cidrs TEXT NOT NULL DEFAULT '', new_connection_limit INTEGER NOT NULL DEFAULT -1, on_no_member TEXT NOT NULL DEFAULT 'drop') STRICT;
INSERT INTO "listeners" VALUES('00000003-0000-4000-8000-000000000000','project','80_listener',1,'ACTIVE','',1530000000123458,1530000000123459,'','00000001-0000-4000-8000-000000000000','TCP',80,'00000002-0000-4000-8000-000000000000',100,50000,5000,50000,0,'10.0.0.0/8 192.0.2.1/32',7,'reset');
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
, additional_vips TEXT NOT NULL DEFAULT '', on_unmatched TEXT NOT NULL DEFAULT 'drop') STRICT;
INSERT INTO "load_balancers" VALUES('00000001-0000-4000-8000-000000000000','project','lb_test_1',1,'ACTIVE','',1530000000123456,NULL,'the site','10.0.0.16','00000009-0000-4000-8000-000000000000',NULL,NULL,'2001:db8::16/private-subnet6 192.0.2.16/','reset');
CREATE TABLE member_health (
  member_id TEXT PRIMARY KEY NOT NULL REFERENCES members(id) ON DELETE CASCADE
    DEFERRABLE INITIALLY DEFERRED,
  health TEXT NOT NULL
) STRICT;
INSERT INTO "member_health" VALUES('00000004-0000-4000-8000-000000000000','down');
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
INSERT INTO "members" VALUES('00000004-0000-4000-8000-000000000000','project','80_member_1',0,'ERROR','map is full',1530000000123460,NULL,'00000002-0000-4000-8000-000000000000','10.0.0.4',80,7,1,'private-subnet',NULL,8080);
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
, session_persistence TEXT, persistence_timeout_seconds INTEGER, persistence_granularity TEXT, on_member_down TEXT NOT NULL DEFAULT 'keep') STRICT;
INSERT INTO "pools" VALUES('00000002-0000-4000-8000-000000000000','project','80_pool',1,'ACTIVE','',1530000000123457,NULL,'','00000001-0000-4000-8000-000000000000','TCP','ROUND_ROBIN','dnat','SOURCE_IP',60,'255.255.255.0','reset');
CREATE TABLE tags (
  object_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  tag TEXT NOT NULL,
  PRIMARY KEY (object_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "tags" VALUES('00000004-0000-4000-8000-000000000000',0,'blue');
CREATE INDEX pools_by_load_balancer ON pools(load_balancer_id);
CREATE INDEX listeners_by_load_balancer ON listeners(load_balancer_id);
CREATE INDEX listeners_by_pool ON listeners(default_pool_id);
CREATE INDEX members_by_pool ON members(pool_id);
CREATE INDEX health_monitors_by_pool ON health_monitors(pool_id);
CREATE INDEX floating_ips_by_load_balancer ON floating_ips(load_balancer_id);
CREATE UNIQUE INDEX floating_ips_by_address ON floating_ips(address);
COMMIT;
PRAGMA user_version = 5;
