#!/usr/bin/env python3
"""What it costs: measure.py [--credentials N]. Reports, and judges nothing but the counts.

A release build, a throwaway control plane on the same machine, N new Credentials that wait when Strongroom starts:
memory, time until every one is Ready, requests that write, and the same again after a restart.
"""
import argparse
import json
import subprocess
import time

from clusters import Throwaway
from demo import Story
from process import Strongroom
from stage import ROOT, NotSeen, say, until
from workplace import clear, workplace

NAMESPACE = "measured"


def release():
    say("building the release binary: about 5 minutes the first time")
    subprocess.run(["cargo", "build", "--locked", "--release", "--bin", "strongroom"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    return ROOT / "target/release/strongroom"


def memory(process):
    """Resident now and at its highest, in MiB."""
    with open(f"/proc/{process.pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return tuple(int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


def cpu(process):
    """Seconds of processor time so far."""
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def wishes(number):
    spec = {"type": "Password", "source": {"generate": {}}}
    item = lambda n: {"apiVersion": "strongroom.dev/v1alpha1", "kind": "Credential", "metadata": {"name": f"c{n}", "namespace": NAMESPACE}, "spec": spec}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [item(n) for n in range(number)]})


def ready(kubectl):
    path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    return kubectl("get", "credentials.strongroom.dev", "-n", NAMESPACE, "-o", f"jsonpath={path}").count("True")


def answered(cluster, mark):
    """Statuses written since then, from the audit log: asking for them all again and again would slow down what is measured."""
    return cluster.writes(mark).get(("patch", "credentials/status"), 0)


def measure(story, number):
    strongroom, kubectl, cluster = story.strongroom, story.kubectl, story.cluster
    story.install()
    time.sleep(5)
    before = cpu(strongroom.process)
    time.sleep(10)
    say(f"idle, nothing to do:             {memory(strongroom.process)[0]:6.1f} MiB resident, {(cpu(strongroom.process) - before) * 10:.2f} % of a core")
    strongroom.stop()

    kubectl("create", "namespace", NAMESPACE)
    kubectl("create", "-f", "-", stdin=wishes(number))
    mark = cluster.audit_log.stat().st_size
    started = time.monotonic()
    strongroom.again()
    until(lambda: answered(cluster, mark) >= number, 300, lambda: f"all Ready: {ready(kubectl)} of {number}", every=0.2)
    took = time.monotonic() - started
    worked = cpu(strongroom.process)
    until(lambda: ready(kubectl) == number, 10, lambda: f"all Ready: {ready(kubectl)} of {number}")
    say(f"{number} new Credentials Ready:     {took:6.2f} s after the start, {number / took:.0f} a second; {1000 * worked / number:.2f} ms of processor time each")
    writes = cluster.writes(mark)
    say("  requests that wrote: " + ", ".join(f"{times} {verb} {what}" for (verb, what), times in sorted(writes.items())))
    say(f"  {sum(writes.values()) / number:.3f} for each new resource")
    resident, peak = memory(strongroom.process)
    say(f"  {resident:.1f} MiB resident, {peak:.1f} at the highest")

    mark = cluster.audit_log.stat().st_size
    before = cpu(strongroom.process)
    time.sleep(20)
    writes = cluster.writes(mark)
    say(f"idle with {number}:                   {memory(strongroom.process)[0]:6.1f} MiB resident, {(cpu(strongroom.process) - before) * 5:.2f} % of a core, {sum(writes.values())} writes in 20 s")
    idle_writes = sum(writes.values())

    strongroom.kill()
    mark = cluster.audit_log.stat().st_size
    started = time.monotonic()
    strongroom.again()
    took = time.monotonic() - started
    time.sleep(10)
    restart_writes = sum(cluster.writes(mark).values())
    say(f"SIGKILL, and ready again after:  {took:6.2f} s, {restart_writes} writes in the 10 s after it")
    if idle_writes or restart_writes:
        raise NotSeen("what did not change is not written")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--credentials", type=int, default=1000)
    chosen = arguments.parse_args()
    binary = release()
    work = workplace()
    cluster, failed = Throwaway(work), True
    try:
        cluster.up()
        strongroom = Strongroom(binary, work, cluster)
        try:
            measure(Story(cluster, strongroom, work), chosen.credentials)
            failed = False
        finally:
            strongroom.stop()
    finally:
        cluster.down()
        clear(work, failed)


if __name__ == "__main__":
    main()
