#!/usr/bin/env python3
"""Where the server's processor time goes: profile.py [--binary FILE]

Samples the release build, with its symbols, while it is under load, and puts the shares into docs/benchmarks.md.
"""
import argparse
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/demo"))

import load
import page
from servers import Strongroom, certificate
from stage import ROOT, NotSeen, say

SECONDS = 5
BEGIN, END = "<!-- profile: written by make profile -->", "<!-- end of the profile -->"
# By what is at the top of the stack; the first that fits counts.
GROUPS = (
    ("kernel: sockets, files, locks, waking and switching", r"\[kernel|\[k\]|vdso"),
    ("copying, comparing and wiping memory", r"mem(move|cpy|cmp|set|chr)|zeroize|owned_drop"),
    ("allocating and freeing", r"\bmi_|_mi_|malloc|\bfree\b|drop_in_place|alloc::|RawVec"),
    ("sealing, MACs, hashes, TLS records", r"aws_lc|sha256|aes_gcm|gcm_|x25519|ecp_|bn_"),
    ("SQLite: statements, B-trees, pages", r"sqlite3|rusqlite|pcache|btree[A-Z]|\bwal[A-Z]|vdbe|unix[A-Z]|balance|pager|[a-z]+Page"),
    ("use cases, routes, JSON of our own", r"strongroom"),
    ("serde and times (jiff)", r"serde|jiff"),
    ("HTTP (hyper, http, warp)", r"hyper|http|warp|httparse|form_urlencoded|percent_encoding"),
    ("executor (tokio) and TLS (rustls) without cryptography", r"tokio|rustls|futures|mio::|parking_lot|std::sync"),
)
REST = "everything else"


def build(binary):
    """The release build with its symbols, in place of the one without."""
    if binary:
        Strongroom.binary = binary.resolve()
    else:
        say("building the release binary with symbols: about 5 minutes")
        subprocess.run(["cargo", "rustc", "--locked", "--release", "--bin", "strongroom", "--", "-C", "strip=none"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    load.build()


def shares(server, request, work, connections, **more):
    """Parts of a hundred by group."""
    samples = work / "samples"
    command = ["perf", "record", "-q", "-F", "1999", "-e", "cpu-clock", "-p", str(server.process.pid), "-o", samples, "sleep", str(SECONDS)]
    sampled = threading.Timer(1, subprocess.run, args=(list(map(str, command)),), kwargs={"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL})
    sampled.start()
    load.run(server, request, connections=connections, seconds=SECONDS + 2, **more)
    sampled.join()
    report = subprocess.run(["perf", "report", "-i", samples, "--no-children", "--stdio", "-t", "\t", "--sort", "dso,symbol"], check=True, capture_output=True, text=True)
    found = collections.Counter()
    for line in report.stdout.splitlines():
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) >= 3 and parts[0].endswith("%"):
            # The name of our own file is no symbol of ours.
            place = "" if parts[1].startswith("strongroom") else parts[1]
            found[group(f"{place} {parts[2]}")] += float(parts[0][:-1])
    if sum(found.values()) < 90:
        raise NotSeen(f"{sum(found.values()):.0f} of 100 samples have a place; perf said: {report.stderr[:300]}")
    return found


def group(symbol):
    return next((name for name, pattern in GROUPS if re.search(pattern, symbol)), REST)


def measured(work):
    certificate(work)
    server = Strongroom(work)
    server.start()
    try:
        server.seed(10_000)
        jobs = (
            ("a read, 16 connections", server.read(), 16),
            ("a service of 20, 16 connections", server.bundle(20), 16),
            ("a new credential, 64 connections", server.create(), 64),
            ("a new credential, 1 connection", server.create(), 1),
        )
        return {words: shares(server, request, work, connections, first_number=server.numbers()) for words, request, connections in jobs}
    finally:
        server.stop()


def written(columns):
    rows = [name for name, _ in GROUPS] + [REST]
    lines = ["|  | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    lines += [f"| {row} | " + " | ".join(f"{found[row]:.0f}" for found in columns.values()) + " |" for row in rows]
    return "\n".join([BEGIN, "", f"{time.strftime('%Y-%m-%d')}, {page.commit()}.", "", *lines, "", END])


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", type=pathlib.Path, help="a release build with symbols that is there already")
    chosen = arguments.parse_args()
    if not shutil.which("perf"):
        sys.exit("not measured: perf is missing (apt-get install linux-perf)")
    build(chosen.binary)
    home = ROOT / "target/bench"
    work = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=home))
    try:
        table = written(measured(work))
        say(table)
        page.write(table, BEGIN, END)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    os.umask(0o077)
    try:
        main()
    except NotSeen as missing:
        sys.exit(f"not measured: {missing}")
