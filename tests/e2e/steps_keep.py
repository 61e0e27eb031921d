"""A backup and a restore as the guide has them, and step 7: what an uninstall leaves, and what a second install finds."""
import time

from place import SYSTEM, check, seen, until
from seen import all_ready, same, shape

CRDS = 4


def kept(run):
    """The root key moves to a Secret, a backup is made, and a new volume is filled from it."""
    node, guides = run.node, run.guides
    before = shape(node, "web", "shop", SYSTEM)
    guides.run("back-up-and-restore", "key")
    guides.run("back-up-and-restore", "retire")
    seen("the root key was replaced by one in a Secret, beside the running server, and the old one retired")
    guides.run("back-up-and-restore", "backup")
    backup = node.work / "monday.backup"
    check(backup.stat().st_mode & 0o77 == 0 and backup.stat().st_size > 10_000, "a backup that is ours alone")
    volume = volume_of(node)
    said = guides.run("back-up-and-restore", "restore")
    check("proven with the root key" in said, f"restore says what it proved: {said}")
    check(volume_of(node) != volume, "it is another volume")
    time.sleep(5)
    same(before, shape(node, "web", "shop", SYSTEM), "a restore changes no Secret")
    verified = node.ask("kubectl", "-n", SYSTEM, "exec", "strongroom-0", "--", "/strongroom", "audit", "verify")
    say_of_audit = verified.stdout + verified.stderr
    seen(f"a backup of {backup.stat().st_size / 1e3:.0f} kB was restored into an empty volume: every Secret is at the same version")
    print("    " + "\n    ".join(say_of_audit.strip().splitlines()[-3:]))


def volume_of(node):
    return node.get("persistentvolumeclaim", "data-strongroom-0", "-n", SYSTEM)["spec"]["volumeName"]


def uninstalled(run):
    node, guides = run.node, run.guides
    values = node.run("helm", "get", "values", "strongroom", "-n", SYSTEM, "-o", "json")
    before, volume = shape(node, "web", "shop", SYSTEM), volume_of(node)
    begun = time.monotonic()
    said = guides.run("uninstall", "uninstall")
    await_end(node)
    took = time.monotonic() - begun
    print("    " + "\n    ".join(said.strip().splitlines()))
    check("strongroom-is-kept" in said, f"helm says what it left: {said}")
    check(said.count(".strongroom.dev") >= CRDS and "data-strongroom-0" in said, f"CRDs and volume are there: {said}")
    same(before, shape(node, "web", "shop", SYSTEM), "an uninstall leaves every Secret")
    left = [kind for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations", "clusterroles", "clusterrolebindings") for it in node.get(kind)["items"] if it["metadata"]["name"].startswith("strongroom")]
    check(not left, f"nothing cluster-wide is left but the CRDs: {left}")
    readme = node.get("configmap", "strongroom-is-kept", "-n", SYSTEM)["data"]["README"]
    check("strongroom-root" in readme and "data-strongroom-0" in readme, f"what was kept says so: {readme}")
    run.note("helm uninstall --wait", f"{took:.1f} s")
    seen(f"helm uninstall took {took:.1f} s; {len(before)} Secrets and ConfigMaps, the CRDs and the volume are left as they were")

    node.run("helm", "install", "strongroom", "helm/strongroom", "-n", SYSTEM, "--values", "-", stdin=values)
    node.kubectl("-n", SYSTEM, "rollout", "status", "statefulset/strongroom", "--timeout=120s")
    time.sleep(5)
    check(volume_of(node) == volume, "the same volume")
    same(before, shape(node, "web", "shop", SYSTEM), "a second install finds everything")
    for namespace in ("web", "shop"):
        all_ready(node, namespace, 120, besides=("mail-stored",))
    check(run.caller.service("web.orders"), "REST answers as before")
    seen("a second install found everything again: the same values in the same Secrets, at the same versions")


def await_end(node):
    """--wait does not wait for pods."""
    until(lambda: not node.get("pods", "-n", SYSTEM)["items"], 120, "the pods are gone", every=0.5)


def everything_gone(run):
    """With the operator away, so that nothing could wait for it."""
    node, guides = run.node, run.guides
    node.run("helm", "uninstall", "strongroom", "-n", SYSTEM, "--wait")
    await_end(node)
    begun = time.monotonic()
    guides.run("uninstall", "everything", timeout=200)
    took = time.monotonic() - begun
    until(lambda: not shape(node, "web"), 120, "the Secrets go with what they belong to", every=1)
    check(not [it for it in node.get("crd")["items"] if it["metadata"]["name"].endswith("strongroom.dev")], "no CRD is left")
    for namespace in ("web", "shop", "many"):
        node.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=60s")
    run.note("deleting CRDs, claims and namespace", f"{took:.1f} s")
    seen(f"CRDs, volume claims and the namespace were deleted in {took:.1f} s, without an operator; the Secrets went with their resources")
