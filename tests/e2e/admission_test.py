#!/usr/bin/python3
"""Limits of a listener: networks, connections, new connections; and resets when no member is there."""

import support
from support import VIP, VIP6, wait_for


class Admission(support.LabTest):
    def listener(self, *options):
        self.lab.ctl("loadbalancer", "listener", "set", *map(str, options), "80_listener")

    def refused(self, reason):
        """Returns the number of packets with this reason."""
        return self.lab.reasons().get(reason, 0)

    def silence(self, vip=VIP, port=80):
        """connect()'s error within a second, which is long enough to know that no answer comes."""
        return self.connect_error(vip, port, seconds=1)

    def connect_error(self, vip=VIP, port=80, seconds=60):
        """A client's error of connect(); '' if it succeeds."""
        code = ("import socket,sys\n"
                f"try: socket.create_connection(('{vip}', {port}), timeout={seconds}).close()\n"
                "except OSError as error: print(type(error).__name__)")
        return self.lab.run("client", support.PYTHON, "-c", code).stdout.strip()

    def test_only_clients_from_the_allowed_networks_get_through(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        self.listener("--allowed-cidr", "198.51.100.0/24")
        self.assertEqual("TimeoutError", self.silence())
        self.assertGreater(self.refused("not_allowed"), 0)
        self.listener("--allowed-cidr", "198.51.100.0/24", "--allowed-cidr", "203.0.113.0/24")
        self.assertEqual("", self.connect_error())
        lab.ctl("loadbalancer", "listener", "unset", "--allowed-cidrs", "80_listener")
        self.assertEqual("", self.connect_error())

    def test_a_full_listener_refuses_is_degraded_and_takes_others_when_one_has_gone(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        self.listener("--connection-limit", 3)
        held = lab.start_client("echo", VIP, 80, 3)
        status = lambda: lab.value("loadbalancer", "listener", "show", "80_listener", "operating_status")
        wait_for(lambda: status() == "DEGRADED", 5, "a full listener is DEGRADED")
        self.assertEqual("DEGRADED", lab.value("loadbalancer", "show", "lb", "operating_status"))
        self.assertEqual("TimeoutError", self.silence())
        self.assertGreater(self.refused("connection_limit"), 0)
        self.assertEqual([], lab.finish_client(held)["broken"], "a limit is nothing to those who are in")
        wait_for(lambda: status() == "ONLINE", 5, "it is ONLINE when they have gone")
        self.assertEqual("", self.connect_error())

    def test_a_full_member_leaves_connections_to_the_others_and_full_ones_refuse(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        pool = "80_pool"
        first, second = "80_member_1", "80_member_2"
        lab.ctl("loadbalancer", "member", "set", "--max-connections", 1, pool, first)
        self.assertEqual(1, lab.rows("loadbalancer", "member", "show", pool, first)["max_connections"])
        held = [lab.start_client("echo", VIP, 80, 1)]
        lab.wait_for_connections(1)
        held.append(lab.start_client("echo", VIP, 80, 3))
        lab.wait_for_connections(4)
        lab.ctl("loadbalancer", "member", "set", "--max-connections", 3, pool, second)
        self.assertEqual("TimeoutError", self.silence(), "1 and 3: both are full")
        self.assertGreater(self.refused("member_full"), 0)
        lab.ctl("loadbalancer", "member", "unset", "--max-connections", pool, first)
        self.assertEqual("", self.connect_error())
        for client in held:
            self.assertEqual([], lab.finish_client(client)["broken"])

    def test_a_client_in_a_hurry_is_slowed_down(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        self.listener("--new-connection-limit", 1)
        code = ("import socket\nfor _ in range(20):\n"
                f" s = socket.socket(); s.setblocking(False); s.connect_ex(('{VIP}', 80))\n")
        lab.run("client", support.PYTHON, "-c", code)
        self.assertGreater(self.refused("rate_limited"), 0)
        lab.ctl("loadbalancer", "listener", "unset", "--new-connection-limit", "80_listener")
        self.assertEqual("", self.connect_error())

    def test_clients_are_told_that_nobody_is_there_if_that_is_wanted(self):
        lab = self.lab
        for vip in (VIP, VIP6):
            with self.subTest(vip=vip):
                if vip == VIP:
                    lab.balance()
                else:
                    lab.ctl("loadbalancer", "delete", "--cascade", "lb")
                    lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP6)
                    lab.add_service("lb", 80, 80, ipv6=True)
                for member in (1, 2):
                    lab.ctl("loadbalancer", "member", "set", "--disable", "80_pool", f"80_member_{member}")
                self.assertEqual("TimeoutError", self.silence(vip))
                self.listener("--on-no-member", "reset")
                self.assertEqual("ConnectionRefusedError", self.connect_error(vip))
                self.listener("--on-no-member", "drop")
                self.assertEqual("TimeoutError", self.silence(vip))

    def test_clients_of_unknown_ports_and_connections_are_told_if_that_is_wanted(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        self.assertEqual("TimeoutError", self.silence(port=81))
        lab.ctl("loadbalancer", "set", "--on-unmatched", "reset", "lb")
        self.assertEqual("reset", lab.value("loadbalancer", "show", "lb", "on_unmatched"))
        self.assertEqual("ConnectionRefusedError", self.connect_error(port=81))
        code = ("import socket, sys\n"
                f"s = socket.create_connection(('{VIP}', 80), timeout=60)\n"
                "print('open', flush=True)\n"
                "sys.stdin.readline()\n"
                "try:\n s.sendall(b'who\\n'); s.recv(1); print('answered')\n"
                "except OSError as error:\n print(type(error).__name__)\n")
        client = lab.spawn("client", support.PYTHON, "-c", code)
        self.assertEqual("open\n", client.stdout.readline())
        lab.ctl("flows", "flush", "--all")
        self.assertEqual("ConnectionResetError\n", client.communicate("go on\n", timeout=60)[0])


if __name__ == "__main__":
    support.main()
