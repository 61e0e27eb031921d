"""What people look at: resources, Secrets, what a pod says it received. Values are compared as digests and never printed."""
import base64
import hashlib
import json

from place import check, until

KINDS = ("credentials", "services", "certificateauthorities", "clientcredentials")


def digest(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def ready(item):
    status = item.get("status", {})
    found = [c for c in status.get("conditions", []) if c["type"] == "Ready"]
    return bool(found) and found[0]["status"] == "True" and status.get("observedGeneration") == item["metadata"]["generation"]


def why(item):
    found = [c for c in item.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
    return f"{found[0]['reason']}: {found[0]['message']}" if found else "no condition yet"


def all_ready(node, namespace, seconds, besides=()):
    def left():
        items = node.get("strongroom", "-n", namespace)["items"]
        return [f"{it['kind']}/{it['metadata']['name']} {why(it)}" for it in items if not ready(it) and it["metadata"]["name"] not in besides]

    until(lambda: not left(), seconds, lambda: f"Ready: {left()}", every=0.3)


def shown(node, name, namespace):
    """Digest of each key of a Secret."""
    data = node.get("secret", name, "-n", namespace).get("data", {})
    return {key: digest(base64.b64decode(value)) for key, value in data.items()}


def shape(node, *namespaces):
    """Version and digests of whatever Strongroom made: equal before and after, or something was written."""
    made = {}
    for namespace in namespaces:
        for kind in ("secrets", "configmaps"):
            for item in node.get(kind, "-n", namespace, "-l", "strongroom.dev/kind")["items"]:
                meta = item["metadata"]
                made[f"{kind} {namespace}/{meta['name']}"] = meta["uid"], meta["resourceVersion"], digest(json.dumps(item.get("data", {}), sort_keys=True))
    return made


def same(before, after, what):
    different = sorted(name for name in before | after if before.get(name) != after.get(name))
    check(before and not different, f"{what}, but these are not as they were: {', '.join(different) or 'there were none'}")


def received(node, namespace, app, seconds=120):
    """What the newest running pod of this app has said last, and the pod."""
    def answer():
        pods = [p for p in node.get("pods", "-n", namespace, "-l", f"app={app}")["items"] if p["status"]["phase"] == "Running" and "deletionTimestamp" not in p["metadata"]]
        if not pods:
            return None
        pod = max(pods, key=lambda p: p["metadata"]["creationTimestamp"])
        lines = node.ask("kubectl", "-n", namespace, "logs", pod["metadata"]["name"]).stdout.strip().splitlines()
        return (json.loads(lines[-1]), pod) if lines else None

    return until(answer, seconds, f"a pod of {app} in {namespace} that says what it received", every=0.3)


def restarts(node, namespace, app):
    """How often the Deployment's pods were rolled out."""
    return int(node.get("deployment", app, "-n", namespace)["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
