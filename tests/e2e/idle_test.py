#!/usr/bin/python3
"""Connections that are silent for longer than their listener allows are forgotten; those in use are not."""

import support
from support import VIP, wait_for

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
# Sends a line, reads the answer, and then only listens.
LISTENER = """
import socket
s = socket.create_connection(("%s", 81), timeout=600)
s.sendall(b"echo\\n"); s.recv(99); print("answered", flush=True)
try:
    print(s.recv(99), flush=True)
except ConnectionResetError:
    print("reset", flush=True)
""" % VIP
ECHO = """
import socket, threading
def serve(c):
    try:
        while data := c.recv(99): c.sendall(data)
    except ConnectionResetError:
        print("reset", flush=True)
l = socket.create_server(("", 80))
while True: threading.Thread(target=serve, args=(l.accept()[0],), daemon=True).start()
"""


class Idle(support.LabTest):
    members = 1

    def talker(self):
        return self.lab.spawn("client", support.PYTHON, "-c", TALKER)

    def say(self, talker):
        print("go on", file=talker.stdin, flush=True)
        return talker.stdout.readline().strip()

    def test_a_listeners_idle_timeout_ends_who_is_silent_and_nobody_else(self):
        lab = self.lab
        lab.start("member1", "echo", support.PYTHON, "-c", ECHO)
        lab.wait_listening("member1", 80)
        lab.attach()
        lab.start_controller()
        lab.ctl("loadbalancer", "create", "--name", "lb", "--vip-address", VIP, "--on-unmatched", "reset")
        lab.add_service("lb", 80, 80)
        lab.add_service("lb", 81, 80)
        silent, talking = self.talker(), self.talker()
        waits = lab.spawn("client", support.PYTHON, "-c", LISTENER)
        self.assertEqual(["answered"] * 3, [one.stdout.readline().strip() for one in (silent, talking, waits)])
        self.assertEqual(3, len(lab.wait_for_connections(3)))
        listener = "80_listener"
        # The change affects existing connections, too.
        lab.ctl("loadbalancer", "listener", "set", "--idle-timeout", 20, listener)
        self.assertEqual("20", lab.value("loadbalancer", "listener", "show", listener, "idle_timeout"))
        lab.ctl("loadbalancer", "listener", "set", "--idle-timeout", 20, "--on-idle", "reset", "81_listener")

        def one_is_left():
            self.assertEqual("answered", self.say(talking))
            return sum(row["vip"].endswith(":80") for row in lab.connections()) == 1
        # It takes 20 s, up to three ticks of 8 s and a sweep of 5 s; the talker is never silent for so long.
        wait_for(one_is_left, 60, "the silent connection is forgotten")
        self.assertEqual("answered", self.say(talking))
        self.assertEqual("reset", self.say(silent), "on_unmatched tells its client")

        # With on_idle reset both ends have heard of it, though neither sends anything.
        wait_for(lambda: waits.poll() is not None, 20, "the client that only listens hears of the end")
        self.assertEqual("reset", waits.stdout.readline().strip())
        wait_for(lambda: "reset" in lab.log("member1", "echo"), 20, "so does its member")
        self.assertEqual("forget", lab.value("loadbalancer", "listener", "show", listener, "on_idle"))

        lab.ctl("loadbalancer", "listener", "unset", "--idle-timeout", listener)
        self.assertEqual("", lab.value("loadbalancer", "listener", "show", listener, "idle_timeout"))


if __name__ == "__main__":
    support.main()
