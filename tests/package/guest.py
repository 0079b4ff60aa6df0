"""A machine that boots Debian by systemd, as an operator's does, and has two NICs with several queues (virtio).

QEMU emulates its CPUs, so its times mean nothing. It runs in a network namespace, "clients"; the far end of its second NIC
is in another one, "members":

    clients 192.0.2.1 ── lan0 ── eth1 192.0.2.9, guest, 10.0.0.9 eth2 ── dmz0 ── members 10.0.0.4, 10.0.0.6

Its third NIC, eth0, leads to the loopback interface of "clients", for ssh alone.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import support

IMAGES = support.ROOT / "build/vm"
SSH_PORT = "2222"
QUEUES = 4  # of each NIC; XDP wants one more for each CPU
CPUS = 2

PACKAGES = ["systemd-sysv", "udev", "dbus", "iproute2", "ethtool", "openssh-server", "nftables", "curl", "kmod",
            "linux-image-cloud-amd64"]

# Runs in the new file system, before it is one.
CUSTOMIZE = r"""
set -e
cd "$1"
echo guest > etc/hostname
mkdir -p root/.ssh
cp "$KEY.pub" root/.ssh/authorized_keys
for n in 0 1 2; do
  case $n in 0) address=10.0.2.15/24 ;; 1) address=192.0.2.9/24 ;; 2) address=10.0.0.9/24 ;; esac
  printf '[Match]\nName=eth%s\n[Network]\nAddress=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' $n $address \
    > etc/systemd/network/eth$n.network
done
chroot . systemctl --quiet enable systemd-networkd ssh
chroot . systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer
"""


def make_image(release, dependencies):
    """Makes the disk of a fresh Debian with what the package depends on, or takes the one that is there; returns its
    directory, with kernel, initrd and the key for ssh. Nothing of Sluice is in it."""
    directory = IMAGES / f"debian-{release}"
    wanted = "\n".join(PACKAGES + dependencies) + CUSTOMIZE
    if (directory / "made-of").exists() and (directory / "made-of").read_text() == wanted:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with tempfile.TemporaryDirectory(prefix="sluice-debian-", dir=IMAGES) as work:
        root, hook = pathlib.Path(work) / "root", pathlib.Path(work) / "customize"
        hook.write_text(CUSTOMIZE)
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES + dependencies)}",
                        f"--customize-hook=KEY={key} sh {hook} \"$1\"", release, root], check=True)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(next((root / "boot").glob(f"{name}-*")), directory / name)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, directory / "disk", "3G"], check=True)
    (directory / "made-of").write_text(wanted)
    return directory


class Guest:
    """Starts one; the image stays as it is."""

    def __init__(self, image):
        self.key = image / "key"
        self.prefix = f"sluice-boot-{os.getpid()}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-boot-"))
        self.console = self.directory / "console"
        for name in ("clients", "members"):
            subprocess.run(["ip", "netns", "add", f"{self.prefix}-{name}"], check=True)
            self.on(name, "ip", "link", "set", "lo", "up")
        nics = []
        for name in ("lan0", "dmz0"):
            self.on("clients", "ip", "tuntap", "add", name, "mode", "tap", "multi_queue")
            nics += ["-netdev", f"tap,id={name},ifname={name},queues={QUEUES},script=no,downscript=no",
                     "-device", f"virtio-net-pci,netdev={name},mq=on,vectors={2 * QUEUES + 2}"]
        with self.console.open("w") as output:
            self.qemu = subprocess.Popen(
                [*self.enter("clients"), "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(CPUS),
                 "-m", "1536", "-nographic", "-snapshot", "-drive", f"file={image / 'disk'},format=raw,if=virtio",
                 "-kernel", image / "vmlinuz", "-initrd", image / "initrd.img",
                 "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 systemd.show_status=1 no_timer_check panic=5",
                 "-netdev", f"user,id=ssh,restrict=on,hostfwd=tcp:127.0.0.1:{SSH_PORT}-:22",
                 "-device", "virtio-net-pci,netdev=ssh", *nics],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        support.wait_for(lambda: self.holds("dmz0"), 5, "QEMU has opened its NICs")
        self.on("clients", "ip", "link", "set", "dmz0", "netns", f"{self.prefix}-members")
        for name, nic, addresses in (("clients", "lan0", ["192.0.2.1"]), ("members", "dmz0", ["10.0.0.4", "10.0.0.6"])):
            self.on(name, "ip", "link", "set", nic, "up")
            for address in addresses:
                self.on(name, "ip", "address", "add", f"{address}/24", "dev", nic)
        self.on("members", "ip", "route", "add", "default", "via", "10.0.0.9")

    def holds(self, tap):
        """Says whether QEMU has opened the device; afterwards that may go to another namespace."""
        return any(f"iff:\t{tap}\n" in info.read_text() for info in pathlib.Path(f"/proc/{self.qemu.pid}/fdinfo").iterdir())

    def enter(self, name):
        return ["nsenter", f"--net=/run/netns/{self.prefix}-{name}", "--"]

    def on(self, name, *command):
        """Runs a command beside the guest: on the side of the clients or of the members."""
        return subprocess.run([*self.enter(name), *map(str, command)], text=True, capture_output=True, stdin=subprocess.DEVNULL)

    def start_on(self, name, *command):
        return subprocess.Popen([*self.enter(name), *map(str, command)], text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ssh(self, *words):
        return [*self.enter("clients"), words[0], "-q", "-i", self.key, "-o", "StrictHostKeyChecking=no", "-o",
                "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=300", "-o", "BatchMode=yes", *words[1:]]

    def run(self, command, expect=0):
        """Runs a shell command in the guest."""
        done = subprocess.run(self.ssh("ssh", "-p", SSH_PORT, "root@127.0.0.1", command), text=True, capture_output=True,
                              stdin=subprocess.DEVNULL)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def copy(self, file):
        """Puts a file into the guest's /tmp."""
        subprocess.run(self.ssh("scp", "-P", SSH_PORT, file, "root@127.0.0.1:/tmp/"), check=True)

    def is_up(self):
        return self.run("systemctl is-system-running --wait", expect=None).strip() in ("running", "degraded")

    def wait_until_up(self):
        if self.qemu.poll() is not None:
            raise AssertionError(f"QEMU has ended: {self.console.read_text()[-2000:]}")
        support.wait_for(self.is_up, 60, "the guest is up")

    def reboot(self):
        self.run("systemctl reboot", expect=None)

    def end(self):
        self.qemu.kill()
        self.qemu.wait()
        for name in ("clients", "members"):
            subprocess.run(["ip", "netns", "del", f"{self.prefix}-{name}"], check=False)
        shutil.rmtree(self.directory)
