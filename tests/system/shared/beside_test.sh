#!/bin/sh
# beside_test.sh SLUICE_LOADER: `sluice-loader attach --shared` beside a second XDP program on the same NIC, in either
# order, through libxdp's dispatcher. Skips itself (exit code 77) where the kernel refuses that, or without xdp-tools.
#
# Plain sh, because scripts/vm-test runs it in a RAM disk; and what comes after unshare and nsenter by its whole path,
# because busybox would take its own of that name.
set -eu
PATH=$PATH:/usr/sbin:/sbin

if [ "${2-}" != inside ]; then
  exec unshare -n /bin/sh "$0" "$1" inside
fi
loader=$1
ip=$(command -v ip)
pins=/sys/fs/bpf/sluice-beside-$$
filter=$(ls /usr/lib/*/bpf/xdpfilt_alw_all.o)

skip() { echo "skipped: $*"; exit 77; }
fail() { echo "FAILED: $*"; xdp-loader status nic0 || true; exit 1; }
say() { echo "== $*"; }

command -v xdp-loader >/dev/null || skip "there is no xdp-loader (package xdp-tools)"

# A NIC, and a host at its other end.
ip link set lo up
ip link add nic0 type veth peer name far0
unshare -n sleep 600 &
host=$!
cleanup() {
  "$loader" detach --all --pin-dir "$pins" >/dev/null 2>&1 || true
  xdp-loader unload nic0 --all >/dev/null 2>&1 || true
  kill "$host"
}
trap cleanup EXIT
while [ "$(readlink "/proc/$host/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
ip link set far0 netns "$host"
ip addr add 192.0.2.1/24 dev nic0
ip link set nic0 up
far() { nsenter -t "$host" -n "$@"; }
far "$ip" link set far0 up
far "$ip" addr add 192.0.2.2/24 dev far0

traffic_passes() { far ping -c 3 -w 20 192.0.2.1 >/dev/null || fail "no answer to a ping $1"; }
runs() { xdp-loader status nic0 | grep -q "$1"; }

traffic_passes "before anything is attached"
say "the other program first"
xdp-loader load nic0 "$filter" >/tmp/first 2>&1 || { cat /tmp/first; skip "the kernel refuses libxdp's dispatcher"; }
runs xdp_dispatcher || skip "the kernel refuses libxdp's dispatcher (programs of type ext)"
"$loader" attach --pin-dir "$pins" --flows 1024 nic0 2>/tmp/refusal && fail "attach took a NIC that another program has"
cat /tmp/refusal
if ! "$loader" attach --shared --pin-dir "$pins" --flows 1024 nic0 2>/tmp/refusal; then
  cat /tmp/refusal
  grep -q "may be too old for this kernel" /tmp/refusal || fail "attach --shared"
  runs xdpfilt || fail "a refused attach took the other program along"
  traffic_passes "after a refused attach"
  skip "this libxdp's dispatcher is too old for this kernel (and the refusal says so and leaves everything as it was)"
fi
runs sluice_xdp || fail "Sluice's program does not run"
runs xdpfilt || fail "the other program was thrown out"
traffic_passes "beside the other program"
"$loader" status --pin-dir "$pins"
"$loader" detach --pin-dir "$pins" nic0
runs sluice_xdp && fail "Sluice's program still runs"
runs xdpfilt || fail "detach took the other program along"
"$loader" detach --all --pin-dir "$pins"
xdp-loader unload nic0 --all

say "Sluice first"
"$loader" attach --shared --pin-dir "$pins" --flows 1024 nic0
xdp-loader load nic0 "$filter"
runs sluice_xdp || fail "Sluice's program was thrown out"
runs xdpfilt || fail "the other program does not run"
traffic_passes "beside the other program that came later"
"$loader" detach --all --pin-dir "$pins"
runs sluice_xdp && fail "Sluice's program still runs"
runs xdpfilt || fail "detach --all took the other program along"
traffic_passes "with the other program alone"
say "passed"
