"""Steps 3 and 4: a value changes, who opted in is started again once, and a caller outside reads."""
import json
import time

from caller import pairs
from place import SYSTEM, check, seen, until
from seen import received, restarts, shown

# What is promised. Waiting for what no time is promised of is long, for the sake of slow machines.
MOUNTED = 60
TOGETHER = 10
LONG = 120
from steps_first import same_as


def files_of(node):
    return {path.removeprefix("orders/"): value for path, value in received(node, "web", "reports")[0]["files"].items()}


def rotated(run):
    node, guides = run.node, run.guides
    guides.run("rotate-and-restart", "stored")
    until(lambda: "mail_password" in files_of(node), MOUNTED, "the new key as a file", every=1)
    # The environment pod has what it was started with; the next rollout brings the rest.
    guides.run("rotate-and-restart", "opt-in")
    until(lambda: "strongroom.dev/started-with" in node.get("deployment", "orders", "-n", "web")["metadata"]["annotations"], LONG, "the Deployment is noted")
    node.kubectl("-n", "web", "rollout", "restart", "deployment/orders")
    node.kubectl("-n", "web", "rollout", "status", "deployment/orders", f"--timeout={LONG}s")
    first, pod = restarts(node, "web", "orders"), received(node, "web", "reports")[1]

    before = shown(node, "orders", "web")
    begun = time.monotonic()
    guides.run("rotate-and-restart", "rotate", "generate")
    apart = time.monotonic() - begun
    expected = shown(node, "orders", "web")
    check(all(expected[key] != before[key] for key in ("mail_password", "password")), "both values are new")
    until(lambda: files_of(node) == expected, LONG, "the mounted files have the new values", every=0.5)
    took = time.monotonic() - begun
    check(took <= MOUNTED, f"within {MOUNTED} s, and not after {took:.0f} s")
    now = received(node, "web", "reports")[1]
    check(now["metadata"]["uid"] == pod["metadata"]["uid"] and now["status"]["containerStatuses"][0]["restartCount"] == 0, "without a restart")
    run.note("a value written over REST is in the mounted file", f"{took:.1f} s")
    seen(f"both new values are in the mounted files {took:.1f} s after the first was written, without a restart")

    until(lambda: restarts(node, "web", "orders") > first, LONG, "the Deployment that opted in is rolled out", every=0.5)
    took = time.monotonic() - begun
    node.kubectl("-n", "web", "rollout", "status", "deployment/orders", f"--timeout={LONG}s")
    same_as(received(node, "web", "orders")[0]["environment"], run.caller.service("web.orders"), "the pod that was started again")
    run.note("a Deployment that opted in is rolled out", f"{took:.1f} s after the first of two changes")
    time.sleep(TOGETHER + 5)
    rolled = restarts(node, "web", "orders") - first
    check(rolled == 1 or apart > TOGETHER, f"one rollout for two changes in {apart:.1f} s, and not {rolled}")
    check(restarts(node, "web", "reports") == 1, "who did not opt in is left alone")
    seen("the environment pod was started again once for the batch of both; who did not opt in was left alone")
    events = node.kubectl("-n", "web", "events", "--for", "deployment/orders")
    check("Restarted" in events and "Service/orders" in events, f"an Event says why: {events}")

    # Nothing changes: the same is asked for again, the Secret is deleted and comes back, and Strongroom itself is started again.
    node.kubectl("-n", "web", "patch", "credential/db", "--type=merge", "--patch", '{"spec": {"source": {"generate": {"length": 40}}}}')
    node.kubectl("-n", "web", "delete", "secret", "orders")
    until(lambda: node.find("secret", "orders", "-n", "web"), LONG, "the Secret comes back")
    node.kubectl("-n", SYSTEM, "delete", "pod", "strongroom-0")
    node.kubectl("-n", SYSTEM, "rollout", "status", "statefulset/strongroom", "--timeout=120s")
    time.sleep(TOGETHER + 5)
    check(shown(node, "orders", "web") == expected and restarts(node, "web", "orders") == first + rolled, "nothing changed, so nothing is rolled out")
    seen("the same was asked for again, the Secret was deleted and came back, Strongroom was started again: nothing changed, and no pod was started again")


def outside(run):
    node, guides = run.node, run.guides
    guides.run("access-from-outside", "identity", "read")
    answer = json.loads((node.work / "orders.json").read_text())
    check(pairs(answer) == shown(node, "orders", "web"), "the values over REST are those of the Secret")
    key = node.work / "partner.key"
    check(key.stat().st_mode & 0o77 == 0, "the key is the caller's alone")
    seen("a caller in the node's own network read the Service with its client certificate, at the Service's address")
    status, _ = run.caller.curl("/v1/credentials", "--cert", "partner.crt", "--key", "partner.key")
    check(status == 403, f"it reads nothing else: {status}")
    guides.run("access-from-outside", "suspend")
    until(lambda: run.caller.curl("/v1/services/web.orders", "--cert", "partner.crt", "--key", "partner.key")[0] in (401, 403), LONG, "a suspended caller is refused", every=0.3)
    seen("everything else is refused to it with 403; suspended, it reads nothing any more")

    guides.run("access-from-outside", "account")
    check(pairs(json.loads((node.work / "auditor.json").read_text())) == shown(node, "orders", "web"), "the values over REST are those of the Secret")
    status, _ = run.caller.curl("/v1/services/shop.till", "--header", "@auditor.header")
    check(status in (403, 404), f"in another namespace it reads nothing: {status}")
    seen(f"a ServiceAccount that RBAC lets read has read the same with its token; another namespace's Service answers it {status}")
