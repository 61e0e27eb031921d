#!/usr/bin/env python3
"""Strongroom beside OpenBao on one machine: bench.py [--quick] [--rounds N] [--million] [--only NAME ...]

Prints a table and puts it into docs/benchmarks.md. Fails only if something could not be measured.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/demo"))

import load
import page
import table
from comparisons import COMPARISONS
from servers import OpenBao, Strongroom, certificate
from stage import ROOT, NotSeen, say, seen


class Bench:
    """What every comparison needs: how long and how often, the folder of this run, the two servers."""

    def __init__(self, chosen, work):
        self.work, self.quick, self.million = work, chosen.quick, chosen.million
        self.rounds = chosen.rounds or (2 if chosen.quick else 5)
        self.credentials = 2_000 if chosen.quick else 10_000
        self.rows, self.notes = [], []

    def seconds(self, usual):
        return min(usual, 1.0) if self.quick else usual

    def row(self, *given, **more):
        self.rows.append(table.Row(*given, **more))
        return self.rows[-1]

    def note(self, text):
        self.notes.append(text)
        say(f"  {text}")

    def each_round(self, row, measure):
        """A-B-A-B: what the machine does beside us changes slowly, and so is shared by both of a round."""
        for _ in range(self.rounds):
            row(measure(self.ours), measure(self.theirs))


def build(binary):
    if binary:
        Strongroom.binary = binary.resolve()
    else:
        if not Strongroom.binary.exists():
            say("building the release binary: about 6 minutes the first time")
        subprocess.run(["cargo", "build", "--locked", "--release", "--bin", "strongroom"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    load.build()
    said = subprocess.run([ROOT / "benches/openbao"], check=True, capture_output=True, text=True)
    OpenBao.binary = pathlib.Path(said.stdout.strip())


def compare(bench, only):
    certificate(bench.work)
    bench.ours, bench.theirs = Strongroom(bench.work), OpenBao(bench.work)
    servers = (bench.ours, bench.theirs)
    try:
        for server in servers:
            server.start()
            server.seed(bench.credentials)
        for name, comparison in COMPARISONS.items():
            if only and name not in only:
                continue
            seen(f"{name}: {comparison.__doc__.splitlines()[0]}")
            before = len(bench.rows)
            comparison(bench)
            for row in bench.rows[before:]:
                say("  " + "  |  ".join(filter(None, row.cells())))
    except Exception:
        for server in servers:
            say(f"the end of what {server.name} said:\n{server.said()}")
        raise
    finally:
        for server in servers:
            server.stop()


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="about 2 minutes, to see that it works; writes no page")
    arguments.add_argument("--rounds", type=int)
    arguments.add_argument("--million", action="store_true", help="the growth of reads up to 1,000,000 names")
    arguments.add_argument("--only", nargs="*", choices=COMPARISONS, help="these comparisons; writes no page")
    arguments.add_argument("--binary", type=pathlib.Path, help="a release build that is there already, instead of one of this code")
    chosen = arguments.parse_args()
    build(chosen.binary)
    home = ROOT / "target/bench"
    work = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=home))
    try:
        bench = Bench(chosen, work)
        compare(bench, chosen.only)
        say()
        say(table.text(bench.rows))
        say("\n".join(bench.notes))
        figures = page.figures(bench)
        (home / "figures.md").write_text(figures)
        (home / "figures.json").write_text(json.dumps([vars(row) for row in bench.rows], indent=1))
        if not chosen.quick and not chosen.only:
            page.write(figures)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    os.umask(0o077)
    # Ended from outside, it still takes its servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        main()
    except NotSeen as missing:
        sys.exit(f"not measured: {missing}")
