#!/usr/bin/python3
"""The walkthrough, line by line, with `openstack` replaced by `sluicectl`: its tables and its outcome."""

import unittest

import support
from support import FLOATING_IP, VIP, alternates, parse_table, wait_for

# The fields of the walkthrough's tables (its 2018 client's `flavor` is called flavor_id today).
LOAD_BALANCER_FIELDS = """admin_state_up created_at description flavor_id id listeners name operating_status
    pools project_id provider provisioning_status updated_at vip_address vip_network_id vip_port_id
    vip_subnet_id""".split()
LISTENER_FIELDS = """admin_state_up connection_limit created_at default_pool_id default_tls_container_ref
    description id insert_headers l7policies loadbalancers name operating_status project_id protocol
    protocol_port provisioning_status sni_container_refs timeout_client_data timeout_member_connect
    timeout_member_data timeout_tcp_inspect updated_at""".split()
POOL_FIELDS = """admin_state_up created_at description healthmonitor_id id lb_algorithm listeners
    loadbalancers members name operating_status project_id protocol provisioning_status
    session_persistence updated_at""".split()
MEMBER_FIELDS = """address admin_state_up created_at id name operating_status project_id protocol_port
    provisioning_status subnet_id updated_at weight monitor_port monitor_address""".split()
MONITOR_FIELDS = """project_id name admin_state_up pools created_at provisioning_status updated_at delay
    expected_codes max_retries http_method timeout max_retries_down url_path type id
    operating_status""".split()
LOAD_BALANCER_COLUMNS = "id name project_id vip_address provisioning_status provider".split()
LISTENER_COLUMNS = "id default_pool_id name project_id protocol protocol_port admin_state_up".split()
MEMBER_COLUMNS = """id name project_id provisioning_status address protocol_port operating_status
    weight""".split()


class Walkthrough(support.LabTest):
    def create(self, fields, *arguments):
        """Runs a create line; returns its table as a dictionary after checking that the fields are there."""
        header, rows = parse_table(self.lab.ctl(*arguments).stdout)
        self.assertEqual(["Field", "Value"], header)
        shown = {row[0]: row[1] for row in rows}
        self.assertEqual([], [field for field in fields if field not in shown], f"missing in {arguments}")
        return shown

    def listed(self, columns, *arguments):
        header, rows = parse_table(self.lab.ctl(*arguments).stdout)
        self.assertEqual([], [column for column in columns if column not in header], f"missing in {arguments}")
        return [dict(zip(header, row)) for row in rows]

    def create_service(self, port):
        listener = self.create(LISTENER_FIELDS, "loadbalancer", "listener", "create", "--name", f"{port}_listener",
                               "--protocol", "TCP", "--protocol-port", port, "lb_test_1")
        self.assertEqual("PENDING_CREATE", listener["provisioning_status"])
        self.assertEqual(str(port), listener["protocol_port"])
        self.assertEqual("None", listener["default_pool_id"])
        pool = self.create(POOL_FIELDS, "loadbalancer", "pool", "create", "--name", f"{port}_pool", "--listener",
                           f"{port}_listener", "--protocol", "TCP", "--lb-algorithm", "ROUND_ROBIN")
        self.assertEqual(listener["id"], pool["listeners"])
        for number, address in ((1, "10.0.0.4"), (2, "10.0.0.6")):
            member = self.create(MEMBER_FIELDS, "loadbalancer", "member", "create", "--name",
                                 f"{port}_member_{number}", "--address", address, "--protocol-port", port,
                                 f"{port}_pool")
            self.assertEqual("NO_MONITOR", member["operating_status"])
            self.assertEqual("1", member["weight"])

    def test_its_commands_its_tables_and_alternating_answers(self):
        lab = self.lab
        for member in (1, 2):
            for port in (80, 443):
                lab.serve_web(member, port)
        lab.attach()
        lab.start_controller()

        balancer = self.create(LOAD_BALANCER_FIELDS, "loadbalancer", "create", "--vip-address", VIP, "--name",
                               "lb_test_1")
        self.assertEqual((VIP, "PENDING_CREATE", "None"),
                         (balancer["vip_address"], balancer["provisioning_status"], balancer["updated_at"]))
        (listed,) = self.listed(LOAD_BALANCER_COLUMNS, "loadbalancer", "list")
        self.assertEqual((balancer["id"], "ACTIVE"), (listed["id"], listed["provisioning_status"]))

        for port in (80, 443):
            self.create_service(port)
        listeners = self.listed(LISTENER_COLUMNS, "loadbalancer", "listener", "list")
        self.assertEqual({"80_listener": "80", "443_listener": "443"},
                         {row["name"]: row["protocol_port"] for row in listeners})
        for port in (80, 443):
            members = self.listed(MEMBER_COLUMNS, "loadbalancer", "member", "list", f"{port}_pool")
            self.assertEqual({(f"{port}_member_1", "10.0.0.4", "ACTIVE"), (f"{port}_member_2", "10.0.0.6", "ACTIVE")},
                             {(row["name"], row["address"], row["provisioning_status"]) for row in members})

        monitor = self.create(MONITOR_FIELDS, "loadbalancer", "healthmonitor", "create", "--name", "80_healthcheck",
                              "--delay", "60", "--timeout", "20", "--max-retries", "2", "--url-path", "/health",
                              "--type", "http", "80_pool")
        self.assertEqual(("HTTP", "60", "20", "2", "3", "GET", "200", "/health"),
                         tuple(monitor[field] for field in ("type", "delay", "timeout", "max_retries",
                                                            "max_retries_down", "http_method", "expected_codes",
                                                            "url_path")))

        lab.ctl("floating-ip", "set", "--load-balancer", "lb_test_1", FLOATING_IP)
        self.assertIn(FLOATING_IP, lab.ctl("floating-ip", "list").stdout)
        self.assertEqual(VIP, lab.value("loadbalancer", "show", "lb_test_1", "vip_address"))

        wanted = {"Server : member1 @ 10.0.0.4", "Server : member2 @ 10.0.0.6"}
        for url in (f"http://{VIP}/", f"http://{VIP}:443/", f"http://{FLOATING_IP}/", f"http://{FLOATING_IP}:443/"):
            answers = [lab.curl(url) for _ in range(10)]
            self.assertEqual(wanted, set(answers), url)
            self.assertTrue(alternates(answers), f"{url}: {answers}")
        self.assertEqual("healthy!", lab.curl(f"http://{VIP}/health"))

    def test_a_member_whose_application_dies_is_shown_in_error_and_comes_back(self):
        lab = self.lab
        for member in (1, 2):
            lab.serve_web(member, 80)
        lab.balance(80)
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "80_healthcheck", "--delay", "1", "--timeout", "1",
                "--max-retries", "2", "--max-retries-down", "2", "--url-path", "/health", "--type", "http", "80_pool")
        online = {"80_member_1": "ONLINE", "80_member_2": "ONLINE"}
        wait_for(lambda: lab.member_statuses("80_pool") == online, 6, "both members ONLINE")

        lab.kill("member1", "web80")
        wait_for(lambda: lab.member_statuses("80_pool")["80_member_1"] == "ERROR", 6, "member 1 in ERROR")
        self.assertEqual({"Server : member2 @ 10.0.0.6"}, {lab.curl(f"http://{VIP}/") for _ in range(6)})
        self.assertEqual("DEGRADED", lab.value("loadbalancer", "show", "lb", "operating_status"))

        lab.serve_web(1, 80)
        wait_for(lambda: lab.member_statuses("80_pool") == online, 6, "both members ONLINE again")
        self.assertTrue(alternates([lab.curl(f"http://{VIP}/") for _ in range(10)]))

    def test_stats_count_what_the_clients_did(self):
        lab = self.lab
        lab.serve(80)
        lab.balance(80)
        for _ in range(7):
            lab.client("who", VIP, 80, 1)
        (stats,) = [lab.rows("loadbalancer", "stats", "show", "lb")]
        self.assertEqual(7, int(stats["total_connections"]))
        self.assertGreater(int(stats["bytes_in"]), 7 * 54)
        self.assertEqual(7, lab.reasons().get("flow_created", 0))


if __name__ == "__main__":
    support.main()
