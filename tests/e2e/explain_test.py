#!/usr/bin/python3
"""`sluicectl explain` asks the loaded program about a packet and leaves no trace."""

import json

import support
from support import VIP, VIP6

CLIENT, CLIENT6 = "203.0.113.10", "[2001:db8:c::10]"


class Explain(support.LabTest):
    def explain(self, source=f"{CLIENT}:50514", to=f"{VIP}:80", protocol="tcp"):
        return json.loads(self.lab.ctl("explain", "--from", source, "--to", to, "--proto", protocol, "-f", "json").stdout)

    def fate(self, *question, **more):
        found = self.explain(*question, **more)
        return found["verdict"], found["reason"]

    def test_a_new_connection_is_foretold_and_no_turn_is_taken(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        for turn in (1, 2, 1):
            before = lab.reasons()
            found = self.explain()
            self.assertEqual(found, self.explain(), "asking changes nothing")
            self.assertEqual(("forward", "flow_created"), (found["verdict"], found["reason"]))
            self.assertEqual(["80_listener", "80_pool", f"80_member_{turn}"],
                             [found[name] for name in ("listener", "pool", "member")])
            self.assertEqual(f"{VIP}:50514", found["source"])
            self.assertEqual(f"{lab.address(turn)}:80", found["destination"])
            self.assertEqual("eth0", found["interface"])
            self.assertEqual(before.get("flow_created"), lab.reasons().get("flow_created"))
            self.assertEqual([f"member{turn}"], lab.client("who", VIP, 80, 1))

    def test_a_connection_that_there_is_goes_on_to_its_member(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        held = lab.start_client("echo", VIP, 80, 1)
        flow = support.wait_for(lambda: [row for row in lab.rows("flows", "list") if row["state"] == "established"], 5,
                                "an established connection")[0]
        self.assertEqual(("forward", "forwarded"), self.fate(flow["client"]))
        self.assertEqual("80_member_1", self.explain(flow["client"])["member"])
        self.assertEqual([], lab.finish_client(held)["broken"])

    def test_a_connection_whose_member_is_down_makes_way(self):
        lab = self.lab
        lab.serve()
        lab.balance()
        lab.spawn("client", support.PYTHON, "-c",
                  f"import socket, time; idle = socket.create_connection(('{VIP}', 80)); time.sleep(3600)")
        flow = support.wait_for(lambda: [row for row in lab.rows("flows", "list") if row["state"] == "established"], 5,
                                "an established connection")[0]
        self.assertEqual(("forward", "forwarded"), self.fate(flow["client"]))
        lab.run("member1", "ip", "link", "set", "eth0", "down")
        lab.ctl("loadbalancer", "healthmonitor", "create", "--delay", "1", "--timeout", "1", "--max-retries", "1",
                "--type", "tcp", "80_pool")
        support.wait_for(lambda: self.explain(flow["client"])["member"] == "80_member_2", 10, "another member")
        self.assertEqual(("forward", "flow_created"), self.fate(flow["client"]))
        support.wait_for(lambda: not lab.rows("flows", "list"), 20, "its client, who is silent, is asked for a packet and reset")

    def test_it_says_why_a_packet_would_be_dropped(self):
        lab = self.lab
        lab.balance()
        self.assertEqual(("drop", "no_listener"), self.fate(to=f"{VIP}:81"))
        self.assertEqual(("drop", "no_listener"), self.fate(protocol="udp"))
        self.assertEqual(("pass", "not_ours"), self.fate(to="10.0.0.9:80"))
        self.assertEqual(("drop", "martian_source"), self.fate("127.0.0.1:50514"))
        lab.ctl("loadbalancer", "listener", "set", "--allowed-cidr", "198.51.100.0/24", "80_listener")
        self.assertEqual(("drop", "not_allowed"), self.fate())
        lab.ctl("loadbalancer", "listener", "unset", "--allowed-cidrs", "80_listener")
        for member in (1, 2):
            lab.ctl("loadbalancer", "member", "set", "--disable", "80_pool", f"80_member_{member}")
        self.assertEqual(("drop", "no_member"), self.fate())
        lab.ctl("loadbalancer", "listener", "set", "--on-no-member", "reset", "80_listener")
        found = self.explain()
        self.assertEqual(("answer", "rejected"), (found["verdict"], found["reason"]))
        self.assertEqual(f"{CLIENT}:50514", found["destination"])
        lab.ctl("loadbalancer", "set", "--disable", "lb")
        self.assertEqual(("drop", "vip_down"), self.fate())

    def test_ipv6_and_udp(self):
        lab = self.lab
        lab.balance(port=53, vip=VIP6, protocol="UDP")
        found = self.explain(f"{CLIENT6}:50514", f"[{VIP6}]:53", "udp")
        self.assertEqual(("forward", "flow_created"), (found["verdict"], found["reason"]))
        self.assertEqual("[2001:db8::4]:53", found["destination"])

    def test_without_an_interface_there_is_nothing_to_say(self):
        lab = self.lab
        lab.start_controller()
        refused = lab.ctl("explain", "--from", f"{CLIENT}:1", "--to", f"{VIP}:80", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertIn("no interface is attached", refused.stderr)


if __name__ == "__main__":
    support.main()
