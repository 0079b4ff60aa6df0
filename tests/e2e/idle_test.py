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
s = socket.create_connection(("%s", 80), timeout=600)
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
        silent, talking = self.talker(), self.talker()
        self.assertEqual(["answered", "answered"], [one.stdout.readline().strip() for one in (silent, talking)])
        self.assertEqual(2, len(lab.wait_for_connections(2)))
        listener = lab.rows("loadbalancer", "listener", "list")[0]["name"]
        # The change affects existing connections, too.
        lab.ctl("loadbalancer", "listener", "set", "--idle-timeout", 20, listener)
        self.assertEqual("20", lab.value("loadbalancer", "listener", "show", listener, "idle_timeout"))

        def one_is_left():
            self.assertEqual("answered", self.say(talking))
            return len(lab.connections()) == 1
        # It takes 20 s, up to three ticks of 8 s and a sweep of 5 s; the talker is never silent for so long.
        wait_for(one_is_left, 60, "the silent connection is forgotten")
        self.assertEqual("answered", self.say(talking))
        self.assertEqual("reset", self.say(silent), "on_unmatched tells its client")

        # With on_idle reset, both ends hear of it, though neither sends anything.
        lab.ctl("loadbalancer", "listener", "set", "--on-idle", "reset", listener)
        waits = lab.spawn("client", support.PYTHON, "-c", LISTENER)
        self.assertEqual("answered", waits.stdout.readline().strip())
        lab.wait_for_connections(2)

        def both_were_told():
            self.assertEqual("answered", self.say(talking))
            return waits.poll() is not None and "reset" in lab.log("member1", "echo")
        wait_for(both_were_told, 60, "client and member of the silent connection are reset")
        self.assertEqual("reset", waits.stdout.readline().strip())
        self.assertEqual("answered", self.say(talking))

        lab.ctl("loadbalancer", "listener", "unset", "--idle-timeout", "--on-idle", listener)
        self.assertEqual("", lab.value("loadbalancer", "listener", "show", listener, "idle_timeout"))


if __name__ == "__main__":
    support.main()
