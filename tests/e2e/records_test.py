#!/usr/bin/python3
"""Connections are recorded in a file and sent to a collector: real clients of each kind, and nfdump as the witness."""

import collections
import json
import os
import re
import shutil
import stat

import support
from support import METRICS, VIP, VIP6, wait_for

COLLECTOR = "127.0.0.1:4739"


class Records(support.LabTest):
    def setUp(self):
        super().setUp()
        self.file = self.lab.directory / "records" / "connections.json"

    def start_collector(self):
        """Starts nfcapd in the load balancer's network, which writes what it gets when it ends."""
        directory = self.lab.directory / "nfcapd"
        directory.mkdir()
        self.lab.start("lb", "nfcapd", "nfcapd", "-w", directory, "-b", COLLECTOR.split(":")[0], "-p", COLLECTOR.split(":")[1],
                       "-t", "3600")
        wait_for(lambda: self.lab.run("lb", "ss", "-Hlun", "sport = :4739").stdout, 10, "nfcapd")
        return directory

    def start_syslog(self):
        """Starts a server that writes each datagram as a line."""
        file = self.lab.directory / "syslog"
        code = (f"import socket\nserver = socket.socket(type=socket.SOCK_DGRAM)\nserver.bind(('127.0.0.1', 514))\n"
                f"with open('{file}', 'wb', buffering=0) as log:\n while True: log.write(server.recv(65536) + b'\\n')")
        self.lab.start("lb", "syslog", support.PYTHON, "-c", code)
        wait_for(lambda: self.lab.run("lb", "ss", "-Hlun", "sport = :514").stdout, 10, "the syslog server")
        return file

    def collected(self, directory):
        self.lab.stop("lb", "nfcapd")
        (file,) = wait_for(lambda: [name for name in directory.glob("nfcapd.2*")], 10, "nfcapd's file")
        output = self.lab.run("lb", "nfdump", "-q", "-r", file, "-o", "json").stdout
        return [json.loads(flow) for flow in re.findall(r"\{.*?\}", output, re.DOTALL)]

    def lines(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def wait_for_lines(self, count, **what):
        def matching():
            return [line for line in self.lines() if all(line.get(key) == value for key, value in what.items())]
        return wait_for(lambda: len(matching()) >= count and matching(), 5, f"{count} records of {what}")

    def metric(self, name):
        page = self.lab.run("lb", "curl", "-sS", f"http://{METRICS[1]}/metrics").stdout
        return int(re.search(rf"^{re.escape(name)} (\d+)$", page, re.MULTILINE).group(1))

    def test_clients_are_recorded_in_the_file_and_at_a_collector(self):
        lab = self.lab
        witness = shutil.which("nfcapd") and shutil.which("nfdump")
        directory = self.start_collector() if witness else None
        lab.serve()
        lab.serve_udp(53)
        syslog = self.start_syslog()
        lab.balance(options=["--records-file", self.file, "--records-collector", COLLECTOR, "--records-syslog",
                             "127.0.0.1:514", "--node", "lb1", *METRICS])
        lab.add_service("lb", 53, 53, protocol="UDP")
        lab.ctl("loadbalancer", "create", "--name", "lb6", "--vip-address", VIP6)
        lab.add_service("lb6", 81, 80, ipv6=True)
        lab.client("who", VIP, 80, 4)
        lab.client("who", VIP6, 81, 4)
        lab.run("client", support.PYTHON, support.HERE / "udp_echo.py", "ask", VIP, 53, 2, 100)
        self.wait_for_lines(2, event="begin", protocol="UDP")
        begun = self.wait_for_lines(8, event="begin", protocol="TCP")
        ended = self.wait_for_lines(8, event="end", protocol="TCP")
        self.assertEqual((8, 8), (len(begun), len(ended)))
        self.assertEqual({VIP: 4, VIP6: 4}, {vip: sum(line["vip"] == vip for line in begun) for vip in (VIP, VIP6)})
        for line in begun:
            name = "80" if line["vip"] == VIP else "81"
            self.assertEqual((f"{name}_listener", f"{name}_pool"), (line["listener"], line["pool"]))
            self.assertIn(line["member"], (f"{name}_member_1", f"{name}_member_2"))
            self.assertEqual(line["vip"], line["source"], "the mode is fullnat")
            self.assertGreater(line["handshake_us"], 0)
        for line in ended:
            self.assertEqual("finished", line["end"])
            self.assertGreater(line["duration_us"], 0)
        self.assertEqual(18, self.metric("sluice_records_total"))
        self.assertEqual(0, self.metric('sluice_records_lost_total{reason="ring_full"}'))
        messages = wait_for(lambda: len(lines := syslog.read_text().splitlines()) == 18 and lines, 5, "18 messages")
        self.assertEqual(self.file.read_text().splitlines(), [re.sub(r"^<30>1 \S+Z lb1 sluiced \d+ connection - ", "", message)
                                                              for message in messages])
        mode = os.stat(self.file)
        self.assertEqual(0o640, stat.S_IMODE(mode.st_mode))

        if not witness:
            self.skipTest("nfdump is not installed (run: sudo scripts/install-deps --monitoring)")
        flows = self.collected(directory)
        self.assertEqual(18, len(flows))
        told = {(line["client"], line["client_port"], line["vip"], line["vip_port"], line["source_port"], line["member_port"],
                 line["source"] if line["vip"] == VIP else None, line["member_address"] if line["vip"] == VIP else None)
                for line in self.lines()}
        self.assertEqual(told, {self.ends(flow) for flow in flows})
        self.assertEqual({"4": 6, "5": 4, "1": 4, "2": 4}, collections.Counter(flow["nat_event_id"] for flow in flows))

    @staticmethod
    def ends(flow):
        """This nfdump (1.7.1) does not show translated IPv6 addresses."""
        version = "4" if "src4_addr" in flow else "6"
        return (flow[f"src{version}_addr"], flow["src_port"], flow[f"dst{version}_addr"], flow["dst_port"],
                int(flow["src_xlt_port"]), int(flow["dst_xlt_port"]), flow.get("src4_xlt_ip"), flow.get("dst4_xlt_ip"))

    def test_without_the_option_nothing_is_recorded_and_a_restart_turns_it_off(self):
        lab = self.lab
        lab.serve()
        lab.balance(options=["--records-file", self.file])
        lab.client("who", VIP, 80, 2)
        self.wait_for_lines(2, event="end")
        # What comes while sluiced is away waits in the ring.
        lab.kill("lb", "sluiced")
        lab.client("who", VIP, 80, 2)
        lab.start_controller("--records-file", self.file)
        self.wait_for_lines(4, event="end")
        lab.stop("lb", "sluiced")
        lab.start_controller()
        lab.client("who", VIP, 80, 2)
        lab.stop("lb", "sluiced")
        lab.start_controller("--records-file", self.file)
        lab.client("who", VIP, 80, 2)
        self.assertEqual(6, len(self.wait_for_lines(6, event="end")))

    def test_a_listener_is_recorded_or_not_as_it_says(self):
        lab = self.lab
        lab.serve()
        lab.balance(options=["--records-file", self.file])
        lab.add_service("lb", 81, 80)
        self.assertEqual("True", lab.value("loadbalancer", "listener", "show", "81_listener", "records"))
        lab.ctl("loadbalancer", "listener", "set", "--no-records", "80_listener")
        for port in (80, 81):
            lab.client("who", VIP, port, 2)
        lab.stop("lb", "sluiced")
        lab.start_controller("--records-file", self.file)
        for port in (80, 81):
            lab.client("who", VIP, port, 2)
        lab.ctl("loadbalancer", "listener", "unset", "--records", "80_listener")
        lab.client("who", VIP, 80, 2)
        lab.stop("lb", "sluiced")  # it writes what there is
        self.assertEqual({"81_listener": 4, "80_listener": 2},
                         collections.Counter(line["listener"] for line in self.lines() if line["event"] == "end"))

    def test_a_full_file_is_followed_by_others_up_to_the_quota(self):
        lab = self.lab
        lab.serve()
        lab.balance(options=["--records-file", self.file, "--records-max-size", "1", "--records-keep", "1"])
        # A file that is nearly full, so that a few connections fill it.
        lab.stop("lb", "sluiced")
        self.file.write_text("{}\n" * ((1 << 20) // 3 - 50))
        lab.start_controller("--records-file", self.file, "--records-max-size", "1", "--records-keep", "1")
        for _ in range(3):
            lab.client("who", VIP, 80, 2)
        self.wait_for_lines(1, event="end")
        self.assertLessEqual(self.file.with_name(self.file.name + ".1").stat().st_size, 1 << 20)
        self.assertEqual(["connections.json", "connections.json.1"], sorted(os.listdir(self.file.parent)))

    def test_what_makes_no_sense_is_refused(self):
        for options, words in [(["--records-max-size", "0"], "--records-max-size '0' is not a number from 1"),
                               (["--records-sample", "many"], "--records-sample 'many' is not a number"),
                               (["--records-collector", "localhost"], "--records-collector 'localhost'"),
                               (["--records-syslog", "remote"], "--records-syslog 'remote' is not an address and port (local")]:
            result = self.lab.run("lb", support.program("sluiced"), *options, check=False)
            self.assertEqual(2, result.returncode)
            self.assertIn(words, result.stderr)


if __name__ == "__main__":
    support.main()
