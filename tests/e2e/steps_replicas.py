"""Step 6: two replicas on PostgreSQL. The leader is killed, and an upgrade goes on under load."""
import base64
import os
import signal
import time

import images
from load import Load
from place import SYSTEM, check, seen, until
from seen import all_ready, ready, received, shown
from steps_first import same_as
from steps_keep import await_end

# What is promised; the waiting is longer, so that a slow machine is told from a broken promise.
TAKEOVER = 20


def two_replicas(run):
    node, guides = run.node, run.guides
    url = run.database.start()
    said = guides.run("install", "replicas", DATABASE_URL=url)
    check("granted" in said, f"helm test prints what strongroom check found: {said}")
    run.granted()
    pods = node.get("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=strongroom")["items"]
    check(len(pods) == 2, f"two replicas, and not {len(pods)}")
    guides.run("install", "certificate")
    for name in ("ask", "pods"):
        guides.run("first-secret", name)
    all_ready(node, "web", 120)
    same_as(received(node, "web", "orders")[0]["environment"], shown(node, "orders", "web"), "the pod")
    seen("two replicas on PostgreSQL, with a root key that both mount from a Secret; a pod received its Service")
    said = guides.run("back-up-and-restore", "database", DATABASE_URL=url)
    backup = node.work / "database.backup"
    check(backup.stat().st_mode & 0o77 == 0 and backup.stat().st_size > 10_000, f"a backup of the database: {said}")
    seen(f"a backup of {backup.stat().st_size / 1e3:.0f} kB was made of the database, from beside it")


def leader(run):
    """Asked without kubectl, whose start takes time from what is measured."""
    status, lease = run.api.ask("GET", f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/strongroom")
    check(status == 200, f"the Lease: {status}")
    return lease["spec"].get("holderIdentity") or ""


def leading_pod(node, holder):
    names = [pod["metadata"]["name"] for pod in node.get("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=strongroom")["items"]]
    found = [name for name in names if name in holder]
    check(len(found) == 1, f"the Lease says who leads: {holder!r} of {names}")
    return found[0]


def leader_killed(run):
    node = run.node
    holder = leader(run)
    name = leading_pod(node, holder)
    number = node.process(name)
    begun = time.monotonic()
    os.kill(number, signal.SIGKILL)
    new = {"apiVersion": "strongroom.dev/v1alpha1", "kind": "Credential", "metadata": {"name": "after", "namespace": "web"}, "spec": {"type": "Password", "source": {"generate": {}}}}
    node.apply(new)
    until(lambda: leader(run) not in ("", holder), 120, "another leader", every=0.2)
    took = time.monotonic() - begun
    until(lambda: ready(node.get("credential", "after", "-n", "web")), 120, "what was asked for meanwhile is Ready", every=0.2)
    whole = time.monotonic() - begun
    check(took <= TAKEOVER, f"another leads within {TAKEOVER} s, and not after {took:.1f} s")
    run.note("a new leader after SIGKILL", f"{took:.1f} s; what was asked for meanwhile is Ready after {whole:.1f} s")
    seen(f"the leader was killed with SIGKILL: another leads after {took:.1f} s, and what was asked for meanwhile is Ready after {whole:.1f} s")
    node.kubectl("-n", SYSTEM, "rollout", "status", "deployment/strongroom", "--timeout=120s")


def upgraded(run):
    node, guides = run.node, run.guides
    client = {"apiVersion": "strongroom.dev/v1alpha1", "kind": "ClientCredential", "metadata": {"name": "load", "namespace": "web"}, "spec": {"type": "Basic"}}
    node.apply(client)
    node.kubectl("-n", "web", "patch", "credsvc/orders", "--type=merge", "--patch", '{"spec": {"clients": [{"name": "load"}]}}')
    all_ready(node, "web", 120)
    password = base64.b64decode(node.get("secret", "load", "-n", "web")["data"]["password"]).decode()
    address = run.caller.address()
    with Load(address, f"web/load:{password}", "/v1/services/web.orders", node.work / "ca.crt") as load:
        time.sleep(3)
        before = {pod["metadata"]["uid"] for pod in node.get("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=strongroom")["items"]}
        guides.run("install", "upgrade", TAG=images.NEXT.rpartition(":")[2])
        time.sleep(8)
    after = node.get("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=strongroom")["items"]
    alive = [pod for pod in after if "deletionTimestamp" not in pod["metadata"]]
    check(len(alive) == 2 and not before & {pod["metadata"]["uid"] for pod in alive}, "both pods are new")
    check(all(pod["spec"]["containers"][0]["image"] == images.NEXT for pod in alive), "both have the new image")
    check(load.done > 100, f"requests enough: {load.done}")
    run.note("helm upgrade under load", f"{load.done} requests, {len(load.failures)} failed, {load.retried} sent again on a new connection, the slowest {load.slowest:.2f} s")
    check(not load.failures, f"no request fails: {len(load.failures)} of {load.done} did, such as {sorted(set(load.failures))[:3]}")
    seen(f"helm upgrade under load: {load.done} requests, none failed, {load.retried} were sent again because their connection was closed; the slowest took {load.slowest:.2f} s")


def gone(run):
    node = run.node
    node.run("helm", "uninstall", "strongroom", "-n", SYSTEM, "--wait")
    await_end(node)
    check(shown(node, "orders", "web"), "the Secrets stay")
    run.database.stop()
    seen("uninstalled; the Secrets stay, the database was stopped")
