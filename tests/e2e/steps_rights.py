"""The API server's audit log of the whole run, held against the rights that the chart grants: nothing was refused, and
nothing is granted that was never used, unless a reason is written here."""
import json

from place import SYSTEM, check, seen

ACCOUNT = f"system:serviceaccount:{SYSTEM}:strongroom"

# (group, resource, verb): why it is granted although this run had no use for it.
UNUSED = {
    ("", "configmaps", "get"): "looks at one that is in the way of a trust bundle, to say whose it is",
    ("", "configmaps", "delete"): "a trust bundle that is renamed leaves none behind",
    ("", "secrets", "delete"): "a Secret that is renamed leaves none behind",
    ("", "configmaps", "patch"): "an authority that is renewed, and a bundle that somebody edited",
    ("apps", "statefulsets", "patch"): "as for deployments, which the run restarts; tests/it/reconcile/restart.rs has all three",
    ("apps", "daemonsets", "patch"): "as for deployments, which the run restarts; tests/it/reconcile/restart.rs has all three",
    ("events.k8s.io", "events", "patch"): "counts up what is repeated within minutes",
    ("coordination.k8s.io", "leases", "create"): "only the first time, when there is no Lease",
}


def asked(log):
    for line in open(log):
        event = json.loads(line)
        if event["user"]["username"] == ACCOUNT:
            what = event.get("objectRef") or {}
            yield event, (what.get("apiGroup", ""), "/".join(filter(None, (what.get("resource"), what.get("subresource")))), event["verb"])


def granted(rules):
    return {(group, resource, verb) for rule in rules for group in rule.get("apiGroups", []) for resource in rule.get("resources", []) for verb in rule.get("verbs", [])}


def held(run):
    used, refused, requests, late = set(), {}, 0, 0
    for event, what in asked(run.node.audit_log):
        requests += 1
        used.add(what)
        code = event.get("responseStatus", {}).get("code")
        allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
        if code == 403 and allowed and what[2] == "create":
            # By admission, and not by rights: nothing is made in a namespace that is being deleted.
            late += 1
        # helm takes the rights away before the pods that end have given back their Lease.
        elif code in (401, 403) and not run.was_uninstalling(event["requestReceivedTimestamp"]):
            refused.setdefault((code, *what), event.get("responseStatus", {}).get("message", event["requestURI"]))
    check(requests > 100, f"the audit log has its requests: {requests}")
    check(not refused, f"nothing is refused to it: {refused}")
    rights = granted(run.roles["clusterrole"]) | granted(run.roles["role"])
    check(len(rights) > 30, f"the chart grants something: {len(rights)}")
    # What everybody may, such as asking about itself and looking at the API's groups.
    beyond = {what for what in used - rights if what[0] != "authorization.k8s.io" and what[1]}
    check(not beyond, f"it uses its own rights only: {sorted(beyond)}")
    idle = rights - used
    unexplained = sorted(idle - set(UNUSED))
    check(not unexplained, f"granted, never used, and without a reason in {__file__}: {unexplained}")
    for what in sorted(idle):
        print(f"    not used: {what[2]} {what[1]}: {UNUSED[what]}")
    seen(f"{requests} requests of the ServiceAccount in the audit log, none refused (but {late} to make something in a namespace that was being deleted); {len(rights & used)} of {len(rights)} rights were used, the others have a reason")


def guides_run(run):
    left = run.guides.left()
    check(not left, f"every command of docs/guides was run, but not {left}")
    seen(f"all {len(run.guides.done)} blocks of commands in docs/guides were run as they stand")
