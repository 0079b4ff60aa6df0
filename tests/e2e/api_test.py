#!/usr/bin/python3
"""The API of the real daemon, spoken to directly: many clients at once, busy and failing load balancers, restarts."""

import concurrent.futures
import contextlib
import unittest

import support
from support import VIP, wait_for
from unix_http import UnixConnection

SUBNETS = ["--subnet", "private-subnet,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.47",
           "--subnet", "public-subnet,network=public-net,cidr=172.24.4.0/24,range=172.24.4.10-172.24.4.19,external"]


class Api(support.LabTest):
    members = 1

    def setUp(self):
        super().setUp()
        self.lab.attach()
        self.hook = self.lab.directory / "hook"
        self.options = [*SUBNETS, "--test-hook", self.hook]
        self.lab.start_controller(*self.options)

    def send(self, method, path, body=None):
        with contextlib.closing(UnixConnection(self.lab.socket, timeout=20 * support.PATIENCE)) as connection:
            return connection.ask(method, "/v2.0" + path, body)

    def create(self, path, wrapper, **attributes):
        status, body = self.send("POST", path, {wrapper: attributes})
        self.assertEqual(201, status, body)
        return body[wrapper]

    def status_of(self, balancer):
        return self.send("GET", f"/lbaas/loadbalancers/{balancer}")[1]["loadbalancer"]["provisioning_status"]

    def id_of(self, collection):
        return self.send("GET", f"/{collection}")[1][collection][0]["id"]

    def test_clients_at_once_never_get_the_same_address(self):
        subnet = self.id_of("subnets")
        public = self.send("GET", "/networks?name=public-net")[1]["networks"][0]["id"]
        asks = [("/lbaas/loadbalancers", {"loadbalancer": {"vip_subnet_id": subnet}})] * 40
        asks += [("/floatingips", {"floatingip": {"floating_network_id": public}})] * 15
        with concurrent.futures.ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda ask: self.send("POST", *ask), asks))
        made = [next(iter(body.values())) for status, body in answers if status == 201]
        vips = [one["vip_address"] for one in made if "vip_address" in one]
        floating = [one["floating_ip_address"] for one in made if "floating_ip_address" in one]
        self.assertEqual({f"10.0.0.{n}" for n in range(16, 48)}, set(vips))
        self.assertEqual({f"172.24.4.{n}" for n in range(10, 20)}, set(floating))
        self.assertEqual((32, 10), (len(vips), len(floating)), "nobody got an address twice")
        self.assertEqual({201, 409}, {status for status, _ in answers})

    def test_a_busy_load_balancer_refuses_changes_until_it_is_done(self):
        balancer = self.create("/lbaas/loadbalancers", "loadbalancer", vip_address=VIP)["id"]
        self.hook.write_text("hold")
        listener = {"loadbalancer_id": balancer, "protocol": "TCP", "protocol_port": 80}
        self.create("/lbaas/listeners", "listener", **listener)
        self.assertEqual("PENDING_UPDATE", self.status_of(balancer))
        status, body = self.send("POST", "/lbaas/listeners", {"listener": {**listener, "protocol_port": 81}})
        self.assertEqual((409, f"Load Balancer {balancer} is immutable and cannot be updated."),
                         (status, body["faultstring"]))
        self.hook.unlink()
        wait_for(lambda: self.status_of(balancer) == "ACTIVE", 5, "ACTIVE when the hook lets go")
        self.create("/lbaas/listeners", "listener", **{**listener, "protocol_port": 81})

    def test_a_failure_to_apply_is_an_error_that_failover_overcomes(self):
        balancer = self.create("/lbaas/loadbalancers", "loadbalancer", vip_address=VIP)["id"]
        self.hook.write_text("fail")
        self.create("/lbaas/listeners", "listener", loadbalancer_id=balancer, protocol="TCP", protocol_port=80)
        self.assertEqual("ERROR", self.status_of(balancer))
        self.hook.unlink()
        self.assertEqual(202, self.send("PUT", f"/lbaas/loadbalancers/{balancer}/failover")[0])
        wait_for(lambda: self.status_of(balancer) == "ACTIVE", 30, "ACTIVE when the program is loaded anew")

    def test_a_restart_keeps_everything_and_the_subnets_their_ids(self):
        subnet = self.id_of("subnets")
        tree = {"name": "p", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
                "members": [{"address": "10.0.0.4", "protocol_port": 80, "weight": 3, "tags": ["a"]}]}
        self.create("/lbaas/loadbalancers", "loadbalancer", name="full", vip_subnet_id=subnet, tags=["x"],
                    listeners=[{"name": "l", "protocol": "HTTP", "protocol_port": 80,
                                "default_pool": {**tree, "protocol": "HTTP"}}])
        paths = ("/lbaas/loadbalancers", "/lbaas/listeners", "/lbaas/pools", "/subnets", "/networks")
        before = [self.send("GET", path) for path in paths]
        self.lab.kill("lb", "sluiced")
        self.lab.start_controller(*self.options)
        self.assertEqual(before, [self.send("GET", path) for path in paths])


if __name__ == "__main__":
    support.main()
