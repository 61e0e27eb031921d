"""docs/benchmarks.md: the figures and the profile are written by each run, what people wrote around them stays."""
import datetime
import os
import pathlib
import platform
import subprocess
import tempfile
import time
from statistics import median

import load
import table
from servers import OpenBao, Strongroom
from stage import ROOT, say

PAGE = ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"


def figures(bench):
    missed = [row for row in bench.rows if row.reached() is False]
    lines = [BEGIN, "", *machine(bench), "", table.markdown(bench.rows), ""]
    lines += [f"- {note}" for note in bench.notes]
    lines += ["", f"Aims that were not reached in this run: {len(missed)}."]
    lines += [f"- {row.what}: {table.spread(row.ours)} {row.unit}".rstrip() + f"; the aim is {row.aim()}" for row in missed]
    return "\n".join([*lines, "", END])


def machine(bench):
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"- {datetime.date.today().isoformat()}; {os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release().split('-')[0]}; "
        f"4 KiB appended and synced: {sync_time(bench.work):.0f} µs (median of 200).",
        f"- {said(Strongroom.binary, 'version')} ({commit()}), {said(OpenBao.binary, 'version').split(' (')[0]}; {bench.rounds} rounds.",
        f"- Other processes took {load.MACHINE.share():.0%} of the machine while it was measured"
        + (": rates and latencies are those of a shared machine; the processor time for each request is hardly touched by that." if load.MACHINE.share() > 0.05 else "."),
    ]


def said(binary, argument):
    return subprocess.run([binary, argument], capture_output=True, text=True, check=True).stdout.strip()


def commit():
    run = lambda *command: subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return run("rev-parse", "--short", "HEAD") + (" and changes" if run("status", "--porcelain", "src", "Cargo.lock") else "")


def sync_time(work):
    times = []
    with tempfile.TemporaryFile(dir=work) as file:
        for _ in range(200):
            start = time.monotonic()
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - start)
    return 1e6 * median(times)


def write(part, begin=BEGIN, end=END):
    """Puts a part, which has its own marks around it, in the place of the one before."""
    text = PAGE.read_text()
    before, rest = text.split(begin)
    PAGE.write_text(before + part + rest.split(end)[1])
    say(f"written into {PAGE.relative_to(ROOT)}")
