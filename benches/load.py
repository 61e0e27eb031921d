"""Drives the load generator in benches/load, and says how busy the rest of the machine was meanwhile."""
import json
import os
import subprocess

from stage import ROOT, NotSeen, say

TARGET = ROOT / "target/bench/load"
BINARY = TARGET / "release/load"
TICK = os.sysconf("SC_CLK_TCK")


def build():
    command = ["cargo", "build", "--locked", "--release", "--target-dir", TARGET, "--manifest-path", ROOT / "benches/load/Cargo.toml"]
    if not BINARY.exists():
        say("building the load generator: about 2 minutes the first time")
    subprocess.run(list(map(str, command)), check=True, stdin=subprocess.DEVNULL, stderr=None if not BINARY.exists() else subprocess.DEVNULL)


def busy():
    """Seconds of processor time that the whole machine has spent."""
    with open("/proc/stat") as stat:
        user, nice, system, idle, wait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


class Machine:
    """What other processes took of the machine while something was measured."""

    def __init__(self):
        self.others, self.all = 0.0, 0.0

    def note(self, spent, server, own, seconds):
        self.others += max(0.0, spent - server - own)
        self.all += seconds * os.cpu_count()

    def share(self):
        return self.others / self.all if self.all else 0.0


MACHINE = Machine()


def run(server, request, *, connections, seconds, warm_up=0.5, **more):
    """One job against a server: its report, with the processor time for each request in microseconds."""
    job = {**server.where(), **request, "connections": connections, "seconds": seconds, "warm_up": warm_up, "pid": server.process.pid, **more}
    done = subprocess.run([BINARY], input=json.dumps(job), text=True, capture_output=True, timeout=seconds * 10 + 300)
    if done.returncode:
        raise NotSeen(f"{server.name}: {done.stderr.strip()[:500]}")
    report = json.loads(done.stdout)
    if not report["requests"]:
        raise NotSeen(f"{server.name} answered nothing in {seconds} s")
    report["cpu"] = 1e6 * report["server_cpu"] / report["requests"]
    return report


def measured(server, request, **how):
    """The same, and the rest of the machine is watched."""
    before = busy()
    report = run(server, request, **how)
    # The warm-up is in what the machine spent, so it is left out of both by its share.
    whole = how["seconds"] + how.get("warm_up", 0.5)
    scale = whole / how["seconds"]
    MACHINE.note(busy() - before, report["server_cpu"] * scale, report["own_cpu"] * scale, whole)
    return report


def waiter(server, request, seconds=60):
    """Tries from now on; a line on its standard output says that it was answered."""
    job = {**server.where(), **request, "connections": 1, "seconds": seconds, "until_answered": True}
    process = subprocess.Popen([BINARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process
