#!/bin/bash
# What scripts/vm-test runs in the virtual machine: as root, in the source tree, whatever is written there goes to memory.
#
#   in_guest.sh PRESET GTEST_FILTER SUBJECT...    the subjects of tests/e2e; with "-" for the filter only these
#
# Every line for the host starts with "vm-test: "; "vm-test: LAYER: failed" says that something did, "vm-test: the end" that
# all was run.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t cgroup2 none /sys/fs/cgroup # for host_client_test.py
export SLUICE_PROXY_MEGABYTES=100
preset=$1 filter=$2
shift 2
subjects=("$@")
build=$PWD/build/$preset

# say LAYER: the lines of stdin, told to the host.
say() { sed "s/^/vm-test: $1: /"; }

verifier() {
  local compiler status
  for compiler in clang-14 clang-16 clang-19; do
    "$build/tests/system/verifier/verified_instructions" "build/$compiler/bpf/sluice.bpf.o" $compiler \
      tests/system/verifier/recorded.txt >/tmp/out 2>&1
    status=$?
    say verifier </tmp/out
    [[ $status -eq 0 ]] || echo "vm-test: verifier, $compiler: failed"
  done
}

beside_other_programs() {
  sh tests/system/shared/beside_test.sh "$build/tools/sluice-loader/sluice-loader" >/tmp/out 2>&1
  local status=$?
  say shared </tmp/out
  [[ $status -eq 0 || $status -eq 77 ]] || echo "vm-test: shared: failed"
}

system_tests() {
  local suite
  for suite in network dataplane; do
    "$build/tests/system/$suite/system_$suite" --gtest_brief=1 >/tmp/out 2>&1 || echo "vm-test: system_$suite: failed"
    say "system_$suite" </tmp/out
  done
}

# Each packet test with the fast path and without it, on both CPUs.
packet_tests() {
  local journey shard
  for journey in fast slow; do
    [[ $journey == fast ]] || export SLUICE_TEST_SLOW_PATH=1
    for shard in 0 1; do
      GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$shard "$build/tests/packet/packet_tests" --gtest_filter="$filter" >/tmp/$shard 2>&1 &
    done
    wait
    for shard in 0 1; do
      echo "vm-test: packet, $journey $shard: $(grep -c '^\[       OK' /tmp/$shard) passed," \
        "$(grep -c '^\[  SKIPPED \].*ms' /tmp/$shard) skipped, $(grep -c '^\[  FAILED  \].*ms' /tmp/$shard) failed"
      if ! grep -q '^\[  PASSED  \] [1-9]' /tmp/$shard || grep -q '^\[  FAILED  \]' /tmp/$shard; then
        echo "vm-test: packet, $journey $shard: failed"
        { grep -v '^\[ RUN\|^\[       OK\|^\[---' /tmp/$shard | grep -B 30 '^\[  FAILED  \].*ms' || tail -n 20 /tmp/$shard; } |
          head -n 60 | say packet
      fi
    done
  done
}

end_to_end() {
  local subject status
  export SLUICE_BUILD_DIR=$build SLUICE_TEST_SECONDS=3000 SLUICE_TEST_PATIENCE=50
  for subject; do
    /usr/bin/python3 "tests/e2e/${subject}_test.py" >/tmp/out 2>&1
    status=$?
    case $status in
      0 | 77) grep -E '^Ran |skipped' /tmp/out ;;
      *)
        echo "failed"
        tail -n 120 /tmp/out
        ;;
    esac | say "e2e.$subject"
  done
}

echo # the firmware leaves the console in the middle of a line
ip link set lo up
sysctl -qw kernel.printk=3
# Nobody makes device nodes here before their module is there; the tunnels' ends of e2e.direct want this one.
modprobe tun
if [[ $filter != - ]]; then
  verifier
  beside_other_programs
  system_tests
  packet_tests
fi
end_to_end "${subjects[@]}"
echo "vm-test: the end"
