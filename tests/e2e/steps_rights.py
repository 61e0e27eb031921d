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


def read(log):
    with open(log) as lines:
        events = [json.loads(line) for line in lines]
    for event in events:
        what = event.get("objectRef") or {}
        event["what"] = what.get("apiGroup", ""), "/".join(filter(None, (what.get("resource"), what.get("subresource")))), event["verb"]
        event["code"] = event.get("responseStatus", {}).get("code", 0)
    return events


class Bindings:
    """When the chart's roles were bound and when that ended, as the same log tells: helm takes the rights away before the
    pods have ended, and what they still ask then is refused to them."""

    def __init__(self, events, roles):
        self.rights = {f"{kind}bindings": granted(rules) for kind, rules in roles.items()}
        self.told = []
        for event in events:
            _, resource, verb = event["what"]
            if resource in self.rights and event["objectRef"].get("name") == "strongroom" and event["code"] in (200, 201) and verb in ("create", "update", "patch", "delete"):
                self.told.append((event["requestReceivedTimestamp"], resource, verb))
        self.told.sort()

    def gave(self, event):
        """Whether it had the right to this when it was answered, from the roles that grant it."""
        stood = {resource: verb != "delete" for moment, resource, verb in self.told if moment <= event["stageTimestamp"]}
        return any(stood.get(resource) for resource, rights in self.rights.items() if event["what"] in rights)

    def ended(self):
        return sum(verb == "delete" for _, _, verb in self.told)


def granted(rules):
    return {(group, resource, verb) for rule in rules for group in rule.get("apiGroups", []) for resource in rule.get("resources", []) for verb in rule.get("verbs", [])}


def held(run):
    events = read(run.node.audit_log)
    bindings = Bindings(events, run.roles)
    rights = set().union(*bindings.rights.values())
    check(len(rights) > 30 and bindings.ended() >= len(bindings.rights), f"the chart grants something, and helm took it away: {len(rights)}, {bindings.told}")
    asked = [event for event in events if event["user"]["username"] == ACCOUNT]
    check(len(asked) > 100, f"the audit log has its requests: {len(asked)}")
    used = {event["what"] for event in asked if event["code"] != 403}
    going = {event["objectRef"]["name"]: event["requestReceivedTimestamp"] for event in events if event["what"] == ("", "namespaces", "delete") and event["code"] == 200}
    refused, late, ended = {}, 0, 0
    for event in asked:
        if event["code"] != 403:
            continue
        allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
        if allowed and event["verb"] == "create" and going.get(event["objectRef"].get("namespace"), "~") <= event["stageTimestamp"]:
            # By admission, and not by rights: nothing is made in a namespace that is being deleted.
            late += 1
        elif not allowed and event["what"] in rights and not bindings.gave(event):
            ended += 1
        else:
            refused.setdefault(event["what"], event["requestURI"])
    check(not refused, f"nothing is refused to it: {refused}")
    # What everybody may, such as asking about itself and looking at the API's groups.
    beyond = {what for what in used - rights if what[0] != "authorization.k8s.io" and what[1]}
    check(not beyond, f"it uses its own rights only: {sorted(beyond)}")
    idle = rights - used
    unexplained = sorted(idle - set(UNUSED))
    check(not unexplained, f"granted, never used, and without a reason in {__file__}: {unexplained}")
    for what in sorted(idle):
        print(f"    not used: {what[2]} {what[1]}: {UNUSED[what]}")
    seen(f"{len(asked)} requests of the ServiceAccount in the audit log, none refused (but {late} to make something in a namespace that was being deleted, "
         f"and {ended} after helm had deleted its bindings); {len(rights & used)} of {len(rights)} rights were used, the others have a reason")


def guides_run(run):
    left = run.guides.left()
    check(not left, f"every command of docs/guides was run, but not {left}")
    seen(f"all {len(run.guides.done)} blocks of commands in docs/guides were run as they stand")
