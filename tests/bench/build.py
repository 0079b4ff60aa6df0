#!/usr/bin/python3
"""Measures a build from nothing: its CPU time, and the slowest files with their CPU time and memory."""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ["sluice-loader", "sluiced", "sluicectl"]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench build", description=__doc__)
    parser.add_argument("--preset", default="dev", help="one of CMakePresets.json (default: %(default)s)")
    parser.add_argument("--target", nargs="+", default=DEMO, metavar="T",
                        help="what to build: 'all' for everything (default: what scripts/demo needs)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at a time (default: %(default)s)")
    parser.add_argument("--slowest", type=int, default=10, metavar="N", help="files to show (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="all files' numbers, too")
    return parser.parse_args()


def run(command, log):
    """Runs a step of the build; its output is shown when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_COMPILER_LAUNCHER")}
    environment["CCACHE_DISABLE"] = "1"  # a compiler's name may lead to ccache
    if subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode != 0:
        log.seek(0)
        sys.exit(f"bench build: '{' '.join(command)}' failed:\n" + "".join(log.readlines()[-40:]))


def source_of(command):
    words = command.split()
    name = words[words.index("-c") + 1] if "-c" in words[:-1] else words[-1]
    path = pathlib.Path(name)
    if path.name.startswith("cmake_pch"):
        return "precompiled: " + path.parent.name.removesuffix(".dir")
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def read(times):
    """GNU time's lines, the most expensive first."""
    files = []
    for line in times.read_text().splitlines():
        user, system, kilobytes, command = line.split(" ", 3)
        files.append({"file": source_of(command), "cpu_seconds": round(float(user) + float(system), 2),
                      "megabytes": int(kilobytes) // 1024})
    return sorted(files, key=lambda file: -file["cpu_seconds"])


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="sluice-build-") as directory, \
            tempfile.TemporaryFile("w+") as log:
        times = pathlib.Path(directory) / "times"
        launcher = f"/usr/bin/time;--quiet;--append;--output={times};--format=%U %S %M %C"
        build = os.path.join(directory, "build")
        started = time.monotonic()
        run(["cmake", "--preset", arguments.preset, "-B", build, f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}",
             f"-DCMAKE_C_COMPILER_LAUNCHER={launcher}"], log)
        run(["cmake", "--build", build, f"-j{arguments.jobs}", "--target", *arguments.target], log)
        elapsed = time.monotonic() - started
        files = read(times)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = spent.ru_utime + spent.ru_stime
    compiling = sum(file["cpu_seconds"] for file in files)
    largest = max(files, key=lambda file: file["megabytes"])
    print(f"preset {arguments.preset}: {' '.join(arguments.target)}")
    print(f"CPU time {cpu / 60:.1f} min ({cpu:.0f} s; {compiling:.0f} s of it compile {len(files)} files), "
          f"{elapsed / 60:.1f} min with {arguments.jobs} jobs")
    print(f"largest compiler {largest['megabytes']} MB ({largest['file']})\n")
    print(f"{'CPU s':>6} {'MB':>5}  file")
    for file in files[:arguments.slowest]:
        print(f"{file['cpu_seconds']:6.1f} {file['megabytes']:5}  {file['file']}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"cpu_seconds": round(cpu, 1), "elapsed_seconds": round(elapsed, 1),
                                              "files": files}, indent=2) + "\n")


if __name__ == "__main__":
    main()
