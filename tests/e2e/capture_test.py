#!/usr/bin/python3
"""`sluicectl capture` writes packets as they come in and leave, each with its reason, and disturbs no traffic."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pcapng
import support
from scapy.layers.inet import IP, TCP
from support import VIP

CLIENT = "203.0.113.10"


class Capture(support.LabTest):
    def setUp(self):
        super().setUp()
        self.file = self.lab.directory / "some.pcap"
        self.lab.serve()
        self.lab.balance()

    def running(self):
        """Returns the id of the program on the NIC."""
        return "sluice_capture" if "sluice_capture" in self.lab.loader("status").stdout else "sluice_xdp"

    def start(self, *options):
        self.file.unlink(missing_ok=True)
        process = self.lab.spawn("lb", support.program("sluicectl"), "--socket", self.lab.socket, "capture", "-w", self.file,
                                 "-f", "json", *options)
        support.wait_for(lambda: self.running() == "sluice_capture", 10, "the capturing program runs")
        support.wait_for(self.file.exists, 10, "the file")  # only then Ctrl-C ends it well
        return process

    def end(self, process):
        """Ends it like Ctrl-C."""
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20 * support.PATIENCE)
        self.assertEqual((0, ""), (process.returncode, err), out)
        self.assertEqual("sluice_xdp", self.running())
        return pcapng.frames(self.file)

    def capture(self, *options, of):
        process = self.start(*options)
        of()
        return self.end(process)  # with all that came before the signal

    def connect(self):
        self.lab.client("who", VIP, 80, 2)

    def test_a_connection_is_seen_on_its_way_in_and_out_with_good_checksums(self):
        frames = self.capture("--address", VIP, of=self.connect)
        opening = [frame for frame in frames if frame.reason == "flow_created"]
        self.assertEqual(["in", "out"] * 2, [frame.direction for frame in opening])
        came, left = opening[:2]
        self.assertEqual((CLIENT, VIP), (came.packet[IP].src, came.packet[IP].dst))
        self.assertEqual((VIP, self.lab.address(1)), (left.packet[IP].src, left.packet[IP].dst))
        self.assertEqual(came.packet[TCP].seq, left.packet[TCP].seq)
        self.assertEqual({("eth0", "forward")}, {(frame.interface, frame.verdict) for frame in opening})
        self.assertIn("replied", {frame.reason for frame in frames})
        self.assertLess(abs(came.time - time.time()), 600)
        for frame in frames:
            self.assertEqual(len(frame.packet), frame.length)
            checksum, again = frame.packet[TCP].chksum, frame.packet.copy()
            del again[TCP].chksum
            self.assertEqual(again.__class__(bytes(again))[TCP].chksum, checksum, frame)

    def test_filters_leave_the_others_out(self):
        def both():
            self.connect()
            self.lab.knock(VIP, 81)
            self.lab.run("client", "ping", "-c", "1", VIP)

        self.assertEqual({("no_listener", "in")},
                         {(frame.reason, frame.direction) for frame in self.capture("--reason", "drop", "--address", CLIENT, of=both)})
        self.assertEqual({"answer"}, {frame.verdict for frame in self.capture("--reason", "answer", "--address", VIP, of=both)})
        frames = self.capture("--port", "80", "--bytes", "64", of=both)
        self.assertTrue(frames and all(80 in (frame.packet[TCP].sport, frame.packet[TCP].dport) for frame in frames))
        self.assertEqual(64, max(len(frame.packet) for frame in frames))
        self.assertEqual([], self.capture("--address", "198.51.100.0/24", of=both))
        one, all_of_them = self.capture("--every", "1000000", of=both), self.capture(of=both)
        self.assertLess(len(one), len(all_of_them) / 4)

    def test_it_ends_after_so_mslow_paths(self):
        process = self.start("--count", "3", "--port", "80")
        self.connect()
        process.communicate(timeout=20 * support.PATIENCE)
        self.assertEqual(3, sum(frame.direction == "in" for frame in pcapng.frames(self.file)))
        self.assertEqual("sluice_xdp", self.running())

    def test_connections_live_through_captures(self):
        echo = self.lab.start_client("echo", VIP, 80, 8)
        self.lab.wait_for_connections(8)
        for _ in range(3):
            process = self.start()
            size = self.file.stat().st_size
            support.wait_for(lambda: self.file.stat().st_size > size, 5, "packets in the file")
            self.assertTrue(self.end(process))
        report = self.lab.finish_client(echo)
        self.assertEqual([], report["broken"])

    def test_the_status_can_be_read_while_captures_come_and_go(self):
        over = threading.Event()

        def come_and_go():
            while not over.is_set():
                self.lab.ctl("capture", "-w", self.file, "--count", "1", "--port", "80")

        def read(_):
            self.connect()  # ends a capture
            return self.lab.loader("status", check=False).stderr

        with ThreadPoolExecutor(3) as pool:
            captures = pool.submit(come_and_go)
            said = set(pool.map(read, range(24)))
            over.set()
            while not captures.done():
                self.connect()
            captures.result()
        self.assertEqual({""}, said)

    def test_a_capture_whose_reader_is_killed_ends_by_itself(self):
        process = self.start()
        process.kill()
        self.assertIn("Another capture is under way", self.lab.ctl("capture", "-w", self.file, check=False).stderr)
        support.wait_for(lambda: self.running() == "sluice_xdp", 25, "the usual program is back")

    def test_a_daemon_killed_while_it_captures_leaves_traffic_alone_and_tidies_up_when_it_is_back(self):
        lab = self.lab
        process = self.start()
        lab.kill("lb", "sluiced")
        self.assertEqual(2, len(set(lab.client("who", VIP, 80, 4))))
        _, error = process.communicate(timeout=20 * support.PATIENCE)
        self.assertEqual((1, True), (process.returncode, "no sluiced answers" in error), error)
        self.assertEqual("sluice_capture", self.running())
        lab.start_controller()
        self.assertEqual("sluice_xdp", self.running())

    def test_an_upgrade_ends_it_and_says_so(self):
        process = self.start()
        self.lab.loader("upgrade")
        out, error = process.communicate(timeout=20 * support.PATIENCE)
        self.assertEqual((1, ""), (process.returncode, out))
        self.assertIn("nothing is captured any more", error)
        self.assertEqual("sluice_xdp", self.running())
        self.connect()

    def test_bad_options_are_named_and_the_file_stays_as_it_was(self):
        self.file.write_text("precious")
        for options, word in ((["--reason", "nonsense"], "no reason 'nonsense'"), (["--address", "1.2.3.4/40"], "1.2.3.4/40"),
                              (["--port", "65536"], "port"), (["--bytes", "5000"], "bytes"), (["--every", "0"], "every"),
                              (["--count", "many"], "--count 'many'")):
            with self.subTest(options=options):
                refused = self.lab.ctl("capture", "-w", self.file, *options, check=False)
                self.assertEqual(1, refused.returncode)
                self.assertIn(word, refused.stderr)
                self.assertEqual("precious", self.file.read_text())
        nowhere = self.lab.ctl("capture", "-w", "/nowhere/some.pcap", check=False)
        self.assertEqual((1, True), (nowhere.returncode, "/nowhere/some.pcap" in nowhere.stderr))
        self.assertEqual("sluice_xdp", self.running())

    def test_nothing_attached_is_said(self):
        self.lab.loader("detach", "eth0")
        refused = self.lab.ctl("capture", "-w", self.file, check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("no interface is attached", refused.stderr)
        self.assertFalse(os.path.exists(self.file))


if __name__ == "__main__":
    support.main()
