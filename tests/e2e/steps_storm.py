"""Step 5: Strongroom's pod is deleted while pods are being created, and what a thousand Credentials cost."""
import threading
import time

from apiserver import together
from place import SYSTEM, check, seen, until
from seen import same, shape

PODS = 200
MANY = 1000


def wish(number):
    """Every second one asks. Of the others half do so in a namespace that was not opened, which is as if they had not.
    Nobody runs them: it is about whether they are taken in."""
    asks, elsewhere = number % 2 == 0, number % 4 == 1
    metadata = {"name": f"storm-{number}", "namespace": "default" if elsewhere else "web", "labels": {"app": "storm"}}
    if asks or elsewhere:
        metadata["labels"]["strongroom.dev/inject"] = "true"
        metadata["annotations"] = {"strongroom.dev/services": "orders"}
    return asks, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"schedulerName": "nobody", "containers": [{"name": "app", "image": "registry.example/till:1"}]}}


def received(pod):
    """Names of the Secrets in its environment."""
    return [source["secretRef"]["name"] for source in pod["spec"]["containers"][0].get("envFrom", [])]


def storm(run):
    node, api = run.node, run.api
    before = shape(node, "web", "shop")
    refused, lock = [], threading.Lock()
    started = time.monotonic()

    def create(number):
        time.sleep(max(0, started + number * 0.05 - time.monotonic()))
        if number == PODS // 3:
            # At once, as when a node dies.
            status, answer = api.ask("DELETE", f"/api/v1/namespaces/{SYSTEM}/pods/strongroom-0", {"gracePeriodSeconds": 0})
            check(status == 200, f"Strongroom's pod is deleted: {answer.get('message')}")
        asks, pod = wish(number)
        tries = 0
        while True:
            tries += 1
            status, answer = api.ask("POST", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods", pod)
            if status == 201:
                return asks, tries, answer
            check(asks, f"a pod that did not ask is taken in: {status} {answer.get('message')}")
            with lock:
                refused.append((status, answer.get("message", "")))
            check(time.monotonic() - started < 180, f"a pod that asked is taken in at last: {answer.get('message')}")
            time.sleep(0.5)

    made = together(create, list(range(PODS)), threads=16)
    asked = [(tries, pod) for asks, tries, pod in made if asks]
    others = [(tries, pod) for asks, tries, pod in made if not asks]
    check(all(received(pod) == ["orders"] for _, pod in asked), "whoever asked has it: none was taken in without")
    check(all(tries == 1 and not received(pod) and "strongroom.dev/injected" not in pod["metadata"].get("annotations", {}) for tries, pod in others), "whoever did not ask is untouched")
    again = sum(tries > 1 for tries, _ in asked)
    check(again > 0, "Strongroom was away while pods asked")
    messages = sorted({message for _, message in refused})
    check(all('webhook "pods.strongroom.dev"' in message for message in messages), f"the message says who was asked: {messages}")
    node.kubectl("-n", SYSTEM, "rollout", "status", "statefulset/strongroom", "--timeout=120s")
    time.sleep(5)
    same(before, shape(node, "web", "shop"), "no value changes")
    seen(f"{PODS} pods while Strongroom's pod was deleted: {again} of {len(asked)} that asked were refused and taken in when they tried again; "
         f"{len(others)} others were taken in at once and untouched; every Secret is at the same version")
    for message in messages:
        print(f"    {message}")
    for namespace in ("web", "default"):
        node.kubectl("-n", namespace, "delete", "pods", "-l", "app=storm", "--grace-period=0", "--force", "--wait=false")


def many(run):
    node, api = run.node, run.api
    node.kubectl("create", "namespace", "many")
    path = "/apis/strongroom.dev/v1alpha1/namespaces/many/credentials"

    def create(number):
        status, answer = api.ask("POST", path, {"apiVersion": "strongroom.dev/v1alpha1", "kind": "Credential", "metadata": {"name": f"c{number}"}, "spec": {"type": "Password", "source": {"generate": {}}}})
        check(status == 201, f"a Credential: {status} {answer.get('message')}")

    def ready():
        return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in it.get("status", {}).get("conditions", [])) for it in api.items(path))

    started = time.monotonic()
    together(create, list(range(MANY)), threads=4)
    applied = time.monotonic() - started
    until(lambda: ready() == MANY, 300, lambda: f"all Ready: {ready()} of {MANY}", every=1)
    took = time.monotonic() - started
    time.sleep(5)
    run.note(f"{MANY} Credentials, from the first request to the last Ready", f"{took:.1f} s (applied after {applied:.1f} s)")
    run.note(f"memory with {MANY} Credentials", run.memory())
    seen(f"{MANY} Credentials were created in {applied:.1f} s and Ready after {took:.1f} s; {run.memory()}")
    status = node.get("pod", "strongroom-0", "-n", SYSTEM)["status"]["containerStatuses"][0]
    check(status["restartCount"] == 0, f"within its limit: {status}")
    node.kubectl("delete", "namespace", "many", "--wait=false")
