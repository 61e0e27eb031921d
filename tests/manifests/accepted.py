#!/usr/bin/env python3
"""Holds the chart and the samples to a real API server: every object is accepted under strict validation, the pods meet
the restricted Pod Security Standard, the operator's account may do exactly what it needs, and wrong values are refused.

Needs a running cluster (CLUSTER_HOME). Nothing here runs Strongroom.
"""
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tests/cluster/cluster"
ACCOUNT = "system:serviceaccount:strongroom-system:strongroom"
KINDS = ["credentials", "services", "certificateauthorities", "clientcredentials"]
failures = []


def run(*arguments, stdin=None):
    return subprocess.run([CLUSTER, *map(str, arguments)], input=stdin, capture_output=True, text=True)


def kubectl(*arguments, stdin=None):
    done = run("kubectl", *arguments, stdin=stdin)
    if done.returncode:
        raise SystemExit(f"kubectl {' '.join(map(str, arguments))}:\n{done.stderr.strip()}")
    return done.stdout


def expect(condition, sentence):
    if not condition:
        failures.append(sentence)
        print(f"  not so: {sentence}")


def documents(text):
    return [part for part in re.split(r"^---\n", text, flags=re.M) if re.search(r"^kind:", part, re.M)]


def of_kind(text, kind):
    return [part for part in documents(text) if re.search(rf"^kind: {kind}$", part, re.M)]


def without(text, *kinds):
    left_out = [part for kind in kinds for part in of_kind(text, kind)]
    return "---\n".join(part for part in documents(text) if part not in left_out)


def listed(answer):
    """kubectl prints one object after another, or a List."""
    decoder, objects = json.JSONDecoder(), []
    while answer := answer.lstrip():
        found, end = decoder.raw_decode(answer)
        objects += found["items"] if found["kind"] == "List" else [found]
        answer = answer[end:]
    return objects


def dry_run(text):
    return listed(kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=text))


def the_chart_is_accepted(name, text, namespace):
    # The server knows no ServiceMonitor; tests/manifests/rendered holds that one. Pods come below.
    objects = dry_run(without(text, "ServiceMonitor", "Pod"))
    by_kind = {o["kind"]: o for o in objects}
    workload = (by_kind.get("StatefulSet") or by_kind["Deployment"])["spec"]
    template = workload["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "strongroom-0", "namespace": namespace, "labels": template["metadata"]["labels"]}, "spec": template["spec"]}
    pod["spec"]["serviceAccountName"] = "default"
    pod["spec"].pop("serviceAccount", None)
    volumes = pod["spec"].setdefault("volumes", [])
    claims = [claim["metadata"]["name"] for claim in workload.get("volumeClaimTemplates", [])]
    volumes.extend({"name": claim, "emptyDir": {}} for claim in claims)
    dry_run(json.dumps(pod))
    for check in of_kind(text, "Pod"):
        dry_run(re.sub(r"serviceAccountName: .*", "serviceAccountName: default", check))
    container = template["spec"]["containers"][0]
    expect(container["securityContext"]["readOnlyRootFilesystem"], f"{name}: the root file system is read-only")
    expect(set(container["ports"][i]["name"] for i in range(3)) == {"rest", "webhook", "admin"}, f"{name}: the ports have their names")
    for service in (o for o in objects if o["kind"] == "Service"):
        chosen = service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        expect(chosen, f"{name}: Service {service['metadata']['name']} selects the pods")
        known = {port["name"] for port in container["ports"]}
        expect(all(p["targetPort"] in known for p in service["spec"]["ports"]), f"{name}: Service {service['metadata']['name']} names existing ports")
    for hook in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        webhook = by_kind[hook]["webhooks"][0]
        expect("caBundle" not in webhook["clientConfig"], f"{name}: {hook} leaves caBundle to the process")
        expect(webhook["timeoutSeconds"] == 3, f"{name}: {hook} waits 3 s at most")
    return by_kind


def nobody_else_is_asked(by_kind):
    webhook = by_kind["MutatingWebhookConfiguration"]["webhooks"][0]
    expect(webhook["namespaceSelector"] == {"matchLabels": {"strongroom.dev/injection": "enabled"}}, "only labelled namespaces reach the webhook")
    expect(webhook["objectSelector"] == {"matchLabels": {"strongroom.dev/inject": "true"}}, "only labelled pods reach the webhook")
    expect(by_kind["ValidatingWebhookConfiguration"]["webhooks"][0]["failurePolicy"] == "Ignore", "a resource can be applied while the webhook is down")


def review(verb, resource, more):
    group, _, plural = resource.rpartition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "namespace": "shop", **more}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": ACCOUNT, "resourceAttributes": attributes}}


def answers(questions):
    """One call for all: every kubectl costs a quarter of a second here."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [review(*question) for question in questions]})
    found = [answer["status"]["allowed"] for answer in listed(kubectl("create", "-o", "json", "-f", "-", stdin=text))]
    expect(len(found) == len(questions), "every question is answered")
    return found


def the_account_has_exactly_its_rights():
    hooks = ["admissionregistration.k8s.io/mutatingwebhookconfigurations", "admissionregistration.k8s.io/validatingwebhookconfigurations"]
    allowed = [(verb, f"strongroom.dev/{kind}", {}) for kind in KINDS for verb in ("list", "watch")]
    allowed += [(verb, f"apps/{kind}", {}) for kind in ("deployments", "statefulsets", "daemonsets") for verb in ("list", "watch", "patch")]
    allowed += [("patch", f"strongroom.dev/{kind}", {"subresource": "status"}) for kind in KINDS]
    allowed += [(verb, resource, {}) for resource in ("secrets", "configmaps") for verb in ("get", "list", "watch", "create", "patch", "delete")]
    allowed += [(verb, hook, {"name": "strongroom"}) for hook in hooks for verb in ("get", "patch")]
    allowed += [("create", "events.k8s.io/events", {}), ("create", "authentication.k8s.io/tokenreviews", {}), ("create", "authorization.k8s.io/subjectaccessreviews", {})]
    denied = [(verb, f"strongroom.dev/{kind}", {}) for kind in KINDS for verb in ("get", "create", "update", "patch", "delete")]
    denied += [(verb, f"apps/{kind}", {}) for kind in ("deployments", "statefulsets", "daemonsets") for verb in ("get", "create", "update", "delete")]
    denied += [("get", f"strongroom.dev/{kind}", {"subresource": "value"}) for kind in KINDS[:2]]
    denied += [(verb, hook, {"name": "other"}) for hook in hooks for verb in ("get", "patch")]
    denied += [(verb, hook, {"name": "strongroom"}) for hook in hooks for verb in ("delete", "update", "create")]
    denied += [(verb, "secrets", {}) for verb in ("update", "deletecollection", "impersonate")]
    denied += [("get", "pods", {}), ("list", "namespaces", {}), ("create", "pods", {}), ("create", "serviceaccounts", {"subresource": "token"}), ("escalate", "rbac.authorization.k8s.io/clusterroles", {})]
    for (verb, resource, more), answer in zip(allowed + denied, answers(allowed + denied)):
        wanted = (verb, resource, more) in allowed
        expect(answer == wanted, f"the account may {'' if wanted else 'not '}{verb} {resource} {more or ''}")
    return len(allowed), len(denied)


def wrong_values_are_refused():
    wrong = {"replicas=3": "replicas", "settings.logFormat=xml": "logFormat", "webhook.url=http://192.0.2.1": "url", "name=Big": "name", "image.digest=latest": "digest", "settings.dataDir=/tmp": "dataDir", "kms.endpoint=http://192.0.2.1": "endpoint", "kms.outageLimit=soon": "outageLimit"}
    wrong |= {"database.secretName=db": "set kms.key to a key in AWS KMS, or rootKey.existingSecret to a Secret", "kms.key=alias/a,rootKey.existingSecret=b": "exclude each other", "kms.region=eu-west-1": "kms.region needs kms.key", "kms.environmentSecret=aws": "kms.environmentSecret needs kms.key", "kms.key=alias/a,database.secretName=db,storage.anchor.size=1Mi": "storage.anchor.size is for a store on a volume"}
    for setting, field in wrong.items():
        done = run("helm", "template", "x", ROOT / "helm/strongroom", "--set", setting)
        expect(done.returncode and field in done.stderr, f"--set {setting} is refused by its name")


def main():
    install = (ROOT / "manifests/install.yaml").read_text()
    kubectl("apply", "--server-side", "-f", ROOT / "crds")
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", ROOT / "crds")
    kubectl("apply", "--server-side", "-f", ROOT / "manifests/samples/10-namespace.yaml")
    namespace = of_kind(install, "Namespace")[0]
    for text in (namespace, namespace.replace("strongroom-system", "vault-system")):
        kubectl("apply", "--server-side", "-f", "-", stdin=text)
    for name in ("strongroom-system", "vault-system"):      # what the ServiceAccount controller would make
        kubectl("create", "serviceaccount", "default", "-n", name)
    print("the chart, under every set of values")
    nobody_else_is_asked(the_chart_is_accepted("install.yaml", install, "strongroom-system"))
    for values in sorted((ROOT / "tests/manifests/rendered").glob("*.yaml")):
        the_chart_is_accepted(values.name, values.read_text(), "vault-system")
    dry_run((ROOT / "manifests/webhook-local.yaml").read_text())
    print("the samples")
    for sample in sorted((ROOT / "manifests/samples").glob("*.yaml")):
        dry_run(sample.read_text())
    print("the account's rights")
    for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding"):
        for part in of_kind(install, kind):
            kubectl("apply", "--server-side", "-f", "-", stdin=part)
    print("  %d things that it may do, %d that it may not" % the_account_has_exactly_its_rights())
    print("wrong values")
    wrong_values_are_refused()
    if failures:
        raise SystemExit(f"{len(failures)} expectations about the manifests are not met")
    print("manifests: all as expected")


main()
