#!/usr/bin/python3
"""The real service, Debian's octavia-api, on a loopback port: noauth, SQLite, the no-op provider.

Two parts of a cloud are played here, since the no-op drivers leave them out: the provider, which moves
what is PENDING_* to ACTIVE (or out of the tables), and the network service, which knows the subnets and
networks of `network.py` and no others.

    oracle.py --port PORT --directory DIRECTORY
"""

import argparse
import os
import sys
import wsgiref.simple_server

import network

CONFIGURATION = """
[DEFAULT]
transport_url = fake://
[api_settings]
auth_strategy = noauth
healthcheck_enabled = True
enabled_provider_drivers = noop_driver: 'The no-op driver.'
default_provider_driver = noop_driver
pagination_max_limit = 1000
[database]
connection = sqlite:///{directory}/octavia.db
[controller_worker]
network_driver = network_noop_driver
compute_driver = compute_noop_driver
amphora_driver = amphora_noop_driver
[oslo_policy]
enforce_scope = false
[networking]
reserved_ips = 169.254.169.254
"""

# Children come first, because rows that are deleted name their parents.
TABLES = ["member", "health_monitor", "l7rule", "l7policy", "listener", "pool", "load_balancer"]


def make_database(octavia_engine):
    """Creates tables and lookup values as the package's own functional tests do."""
    from octavia.common import constants
    from octavia.db import base_models, models
    from oslo_db.sqlalchemy import orm

    base_models.BASE.metadata.create_all(octavia_engine)
    words = {
        models.ProvisioningStatus: constants.SUPPORTED_PROVISIONING_STATUSES,
        models.HealthMonitorType: constants.SUPPORTED_HEALTH_MONITOR_TYPES,
        models.Algorithm: constants.SUPPORTED_LB_ALGORITHMS,
        models.Protocol: constants.SUPPORTED_PROTOCOLS,
        models.OperatingStatus: constants.SUPPORTED_OPERATING_STATUSES,
        models.SessionPersistenceType: constants.SUPPORTED_SP_TYPES,
        models.AmphoraRoles: constants.SUPPORTED_AMPHORA_ROLES,
        models.LBTopology: constants.SUPPORTED_LB_TOPOLOGIES,
        models.VRRPAuthMethod: constants.SUPPORTED_VRRP_AUTH,
        models.L7RuleType: constants.SUPPORTED_L7RULE_TYPES,
        models.L7RuleCompareType: constants.SUPPORTED_L7RULE_COMPARE_TYPES,
        models.L7PolicyAction: constants.SUPPORTED_L7POLICY_ACTIONS,
        models.ClientAuthenticationMode: constants.SUPPORTED_CLIENT_AUTH_MODES,
    }
    session = orm.get_maker(octavia_engine)()
    for table, names in words.items():
        session.add_all(table(name=name) for name in names)
    session.commit()
    session.close()


def play_network_service():
    """Plays a network service that has only the configured subnets and networks."""
    from octavia.network import base
    from octavia.network import data_models
    from octavia.network.drivers.noop_driver import driver

    subnets = {
        subnet["id"]: data_models.Subnet(id=subnet["id"], name=subnet["name"], network_id=subnet["network_id"],
                                         cidr=subnet["cidr"], ip_version=subnet["ip_version"],
                                         gateway_ip=subnet["gateway_ip"])
        for subnet in network.SUBNETS
    }
    networks = {
        found["id"]: data_models.Network(id=found["id"], name=found["name"], subnets=found["subnets"],
                                         port_security_enabled=False)
        for found in network.NETWORKS
    }

    def known(table, error, what):
        def get(_, key, context=None):
            if key not in table:
                raise error(f"{what} {key} not found")
            return table[key]
        return get

    driver.NoopManager.get_subnet = known(subnets, base.SubnetNotFound, "subnet")
    driver.NoopManager.get_network = known(networks, base.NetworkNotFound, "network")
    driver.NoopManager.get_port = known({}, base.PortNotFound, "port")


class Provider:
    """Carries out what a request left PENDING_*, before the next one is read."""

    def __init__(self, application, engine):
        self.application = application
        self.engine = engine

    def __call__(self, environ, start_response):
        environ["HTTP_X_PROJECT_ID"] = network.PROJECT
        answer = list(self.application(environ, start_response))
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            self.settle()
        return answer

    def settle(self):
        with self.engine.begin() as connection:
            deleted = [row[0] for row in connection.exec_driver_sql(
                "SELECT id FROM pool WHERE provisioning_status = 'PENDING_DELETE'")]
            for pool in deleted:
                connection.exec_driver_sql("UPDATE listener SET default_pool_id = NULL WHERE default_pool_id = ?",
                                           (pool,))
                for table in ("member", "health_monitor", "session_persistence"):
                    connection.exec_driver_sql(f"DELETE FROM {table} WHERE pool_id = ?", (pool,))
            connection.exec_driver_sql(
                "DELETE FROM listener_cidr WHERE listener_id IN "
                "(SELECT id FROM listener WHERE provisioning_status = 'PENDING_DELETE')")
            gone = [row[0] for row in connection.exec_driver_sql(
                "SELECT id FROM load_balancer WHERE provisioning_status = 'PENDING_DELETE'")]
            for balancer in gone:
                self.remove_tree(connection, balancer)
            for table in TABLES:
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE provisioning_status = 'PENDING_DELETE'")
                # The provider's own update of the row does so, too, through the model's onupdate.
                connection.exec_driver_sql(
                    f"UPDATE {table} SET provisioning_status = 'ACTIVE', updated_at = CURRENT_TIMESTAMP "
                    "WHERE provisioning_status IN ('PENDING_CREATE', 'PENDING_UPDATE')")

    @staticmethod
    def remove_tree(connection, balancer):
        pools = "(SELECT id FROM pool WHERE load_balancer_id = ?)"
        for table in ("member", "health_monitor", "session_persistence"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE pool_id IN {pools}", (balancer,))
        listeners = "(SELECT id FROM listener WHERE load_balancer_id = ?)"
        connection.exec_driver_sql(f"DELETE FROM listener_cidr WHERE listener_id IN {listeners}", (balancer,))
        for table in ("listener", "pool", "vip", "additional_vip"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE load_balancer_id = ?", (balancer,))


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", required=True)
    options = parser.parse_args()

    file = os.path.join(options.directory, "octavia.conf")
    with open(file, "w") as out:
        out.write(CONFIGURATION.format(directory=options.directory))
    from octavia.api import app
    application = app.setup_app(argv=[sys.argv[0], "--config-file", file])
    from octavia.db import api as db_api
    engine = db_api.get_engine()
    make_database(engine)
    play_network_service()
    server = wsgiref.simple_server.make_server("127.0.0.1", options.port, Provider(application, engine),
                                               handler_class=QuietHandler)
    server.serve_forever()


if __name__ == "__main__":
    main()
