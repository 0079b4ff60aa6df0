#!/usr/bin/python3
"""Connections that are silent for longer than their listener allows are forgotten; those in use are not."""

import support
from support import VIP, VIP6, wait_for

# Sends a line and reads the answer; does so again after each line on stdin.
TALKER = """
import itertools, socket, sys
s = socket.create_connection(("%s", 80), timeout=600)
for line in itertools.chain([""], iter(sys.stdin.readline, "")):
    try:
        s.sendall(b"echo\\n"); print("answered" if s.recv(99) else "closed", flush=True)
    except ConnectionResetError:
        print("reset", flush=True)
""" % VIP
# Sends a line, reads the answer, and then only listens; tells when the answer and the end came.
LISTENER = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 81), timeout=600)
s.sendall(b"echo\\n"); s.recv(99); print(time.time(), flush=True)
try:
    print(s.recv(99), flush=True)
except ConnectionResetError:
    print(time.time(), flush=True)
"""
ECHO = """
import socket, threading
def serve(c):
    try:
        while data := c.recv(99): c.sendall(data)
    except ConnectionResetError:
        print("reset", flush=True)
l = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
while True: threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
"""


class Idle(support.LabTest):
    members = 1

    def talker(self):
        return self.lab.spawn("client", support.PYTHON, "-c", TALKER)

    def say(self, talker):
        print("go on", file=talker.stdin, flush=True)
        return talker.stdout.readline().strip()

    def say_until(self, condition, talker):
        def holds():
            self.assertEqual("answered", self.say(talker))
            return condition()
        wait_for(holds, 10, "the silent connection is forgotten")

    def setUp(self):
        super().setUp()
        lab = self.lab
        lab.start("member1", "echo", support.PYTHON, "-c", ECHO)
        lab.wait_listening("member1", 80)
        lab.attach()
        lab.start_controller()

    def test_a_listeners_idle_timeout_ends_who_is_silent_and_nobody_else(self):
        lab = self.lab
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP, "--on-unmatched", "reset")
        lab.add_service("lb", 80, 80)
        silent, talking = self.talker(), self.talker()
        self.assertEqual(["answered"] * 2, [one.stdout.readline().strip() for one in (silent, talking)])
        self.assertEqual(2, len(lab.wait_for_connections(2)))
        listener = "80_listener"
        # The change affects existing connections, too. Whoever talks is answered in time also on a busy machine.
        lab.ctl("loadbalancer", "listener", "set", "--idle-timeout", 6, listener)
        self.assertEqual("6", lab.value("loadbalancer", "listener", "show", listener, "idle_timeout"))
        self.say_until(lambda: len(lab.connections()) == 1, talking)
        self.assertEqual("answered", self.say(talking))
        self.assertEqual("reset", self.say(silent), "on_unmatched tells its client")
        lab.ctl("loadbalancer", "listener", "unset", "--idle-timeout", listener)
        self.assertEqual("", lab.value("loadbalancer", "listener", "show", listener, "idle_timeout"))

    def test_a_short_idle_timeout_is_on_time_and_both_ends_hear_of_it(self):
        lab = self.lab
        for number, vip in enumerate((VIP, VIP6)):
            with self.subTest(vip=vip):
                lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", vip)
                lab.add_service("lb", 81, 80, ipv6=vip == VIP6)
                lab.ctl("loadbalancer", "listener", "set", "--idle-timeout", 2, "--on-idle", "reset", "81_listener")
                fair = support.FairClock()
                waits = lab.spawn("client", support.PYTHON, "-c", LISTENER, vip)
                wait_for(lambda: waits.poll() is not None, 10, "the client that only listens hears of the end")
                answered, ended = (float(line) for line in waits.stdout.read().split())
                self.assertGreater(ended - answered, 2)
                self.assertLess(fair.between(answered, ended), 3.7)
                fair.stop()
                wait_for(lambda: lab.log("member1", "echo").count("reset") == number + 1, 10, "so does its member")
                lab.ctl("loadbalancer", "delete", "--cascade", "lb")


if __name__ == "__main__":
    support.main()
