#!/usr/bin/env python3
"""The whole of it on a real node, as a platform team lives it: e2e.py [--stay] [--begin-with 6]

Brings up a one-node Kubernetes in a network namespace of its own, installs the chart, runs the guides' own commands, and
checks at each step what a user would see. 0 only if every step was seen. No value of a credential is printed.
"""
import argparse
import shutil
import signal
import sys
import time
import traceback

from place import HOME, SYSTEM, Node, NotSeen, say, seen

import images
import steps_day_two
import steps_first
import steps_keep
import steps_replicas
import steps_rights
import steps_storm
from apiserver import ApiServer
from caller import Caller
from database import Database
from guides import Guides

# With binaries and images there. A machine that others use as well has needed a third of it.
LIMIT = 900
STEPS = [
    ("1. helm install, helm test", steps_first.installed),
    ("2. the samples, and pods that receive", steps_first.samples),
    ("2. the first secret, as the guide has it", steps_first.pods),
    ("3. day two: a value changes, pods are started again", steps_day_two.rotated),
    ("4. a caller outside", steps_day_two.outside),
    ("5. pods while Strongroom is away", steps_storm.storm),
    ("   a thousand Credentials", steps_storm.many),
    ("   back up and restore", steps_keep.kept),
    ("7. uninstall, and install again", steps_keep.uninstalled),
    ("7. everything goes", steps_keep.everything_gone),
    ("6. two replicas on PostgreSQL", steps_replicas.two_replicas),
    ("6. the leader is killed", steps_replicas.leader_killed),
    ("6. helm upgrade under load", steps_replicas.upgraded),
    ("6. and gone", steps_replicas.gone),
    ("   the rights of the chart", steps_rights.held),
    ("   the guides", steps_rights.guides_run),
]


class Run:
    """What the steps share."""

    def __init__(self, node, database):
        self.database = database
        self.node, self.guides, self.caller = node, Guides(node), Caller(node)
        self.api, self.notes, self.roles = ApiServer(node), [], {}

    def note(self, what, how):
        self.notes.append((what, how))

    def granted(self):
        """The rights of the chart that is installed now, to be held against what was used."""
        for kind in ("clusterrole", "role"):
            role = self.node.find(kind, "strongroom", *(["-n", SYSTEM] if kind == "role" else []))
            self.roles[kind] = (role or {}).get("rules", self.roles.get(kind, []))

    def memory(self, pod="strongroom-0"):
        with open(f"/proc/{self.node.process(pod)}/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        now, peak = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return f"{now:.1f} MiB resident, {peak:.1f} at the highest"


def listen(what):
    # Ctrl-C too: who is started in the background has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, what)


def interrupted(*_):
    """Once. What begins now is tidying up, which a second Ctrl-C does not shorten."""
    listen(signal.SIG_IGN)
    raise KeyboardInterrupt


def play(node, database, archives, steps):
    for archive in archives:
        node.load(archive)
    run = Run(node, database)
    for name, step in steps:
        say(f"\n== {name}")
        begun = time.monotonic()
        step(run)
        run.note(f"step {name.strip()}", f"{time.monotonic() - begun:.0f} s")
    say()
    for what, how in run.notes:
        say(f"  {what}: {how}")


def keep_logs(node):
    """Logs hold no secrets and stay when something went wrong."""
    kept = HOME / "last-failure"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in node.state.glob("*.log"):
        shutil.copy(log, kept)
    for name, command in {
        "pods.txt": ("kubectl", "get", "pods", "-A", "-o", "wide"),
        "strongroom.txt": ("kubectl", "-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=strongroom", "--tail=200", "--prefix"),
        "events.txt": ("kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp"),
        "resources.txt": ("kubectl", "get", "strongroom", "-A"),
    }.items():
        try:
            done = node.ask(*command, timeout=20)
            (kept / name).write_text(done.stdout + done.stderr)
        except Exception as error:      # noqa: BLE001: what is told is the failure before
            say(f"  no {name}: {error}")
    say(f"The logs are in {kept}.")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--stay", action="store_true", help="leave the node up when a step was not seen, until Ctrl-C")
    arguments.add_argument("--begin-with", metavar="STEP", help="the number that a step's name begins with: for whoever works on the test")
    chosen = arguments.parse_args()
    first = next((at for at, (name, _) in enumerate(STEPS) if name.startswith(chosen.begin_with or "")), 0)
    begun, node, database, failed = time.monotonic(), Node(), Database(), True
    try:
        failed = not played(node, database, STEPS[first:], chosen.stay)
    finally:
        # Nothing is said before it is done: the terminal may be gone.
        listen(signal.SIG_IGN)
        try:
            database.stop()
        finally:
            node.down()
    took = time.monotonic() - begun
    if not failed:
        seen("everything that was started has been removed, and every step was seen")
    say(f"total: {took:.0f} s")
    if took > LIMIT:
        say(f"NOT SEEN: the whole within {LIMIT} s")
    sys.exit(1 if failed or took > LIMIT else 0)


def played(node, database, steps, stay):
    try:
        listen(interrupted)
        archives = images.archives()
        node.up()
        node.tool("strongroom", images.binary())
        seen("a node is up: etcd, kube-apiserver, controllers, scheduler, containerd, kubelet, kube-proxy")
        play(node, database, archives, steps)
        return True
    except KeyboardInterrupt:
        say("\nstopping")
        return False
    except NotSeen as error:
        say(f"\nNOT SEEN: {error}")
    except Exception:      # noqa: BLE001: a fault of the test, for whose reader the logs stay as well
        traceback.print_exc()
    try:
        if node.state.exists():
            keep_logs(node)
        if stay:
            say(f"still up; KUBECONFIG={node.state}/admin.kubeconfig; Ctrl-C removes it")
            signal.pause()
    except KeyboardInterrupt:
        say("\nstopping")
    return False


if __name__ == "__main__":
    main()
