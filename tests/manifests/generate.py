#!/usr/bin/env python3
"""Writes what is generated from the chart and the CRDs, or with --check says which files are old.

helm/strongroom/crds is a copy of crds/, which the Rust types make. manifests/ is the chart for people without helm.
tests/manifests/rendered is the chart under other values, so that a change of a template shows in review.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/strongroom"
HEAD = "# Generated from helm/strongroom: make generate\n"
NAMESPACE = """---
# The strictest of the Pod Security Standards: nothing that Strongroom needs is beyond it.
apiVersion: v1
kind: Namespace
metadata:
  name: strongroom-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def helm(*arguments):
    done = subprocess.run([ROOT / "tests/cluster/cluster", "helm", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"helm {' '.join(map(str, arguments))}:\n{done.stderr.strip()}")
    return done.stdout


def template(namespace, *options):
    return helm("template", "strongroom", CHART, "--namespace", namespace, *options)


def install():
    crds = "".join(text if text.startswith("---") else "---\n" + text for text in copied().values())
    return HEAD + NAMESPACE + crds + template("strongroom-system", "--skip-crds", "--skip-tests")


def outside():
    about = "# For a Strongroom that runs outside the cluster. Put the address where the API server reaches it.\n"
    return HEAD + about + template("strongroom-system", "--show-only", "templates/webhooks.yaml", "--set", "webhook.url=https://127.0.0.1:9443")


def copied():
    return {source.name: source.read_text() for source in sorted((ROOT / "crds").glob("*.yaml"))}


def generated():
    for name, text in copied().items():
        yield CHART / "crds" / name, text
    yield ROOT / "manifests/install.yaml", install()
    yield ROOT / "manifests/webhook-local.yaml", outside()
    for values in sorted((ROOT / "tests/manifests/values").glob("*.yaml")):
        yield ROOT / "tests/manifests/rendered" / values.name, HEAD + template("vault-system", "--skip-crds", "--values", values)


def main():
    check = sys.argv[1:] == ["--check"]
    if len(copied()) != 4:
        raise SystemExit("crds/ must hold the four CRDs: run `make generate`")
    old = []
    for path, text in generated():
        if path.exists() and path.read_text() == text:
            continue
        old.append(path.relative_to(ROOT))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for path in old:
        print(f"{path} {'is old: run `make generate`' if check else 'written'}")
    if check and old:
        sys.exit(1)
    print("generated manifests are up to date" if not old else "")


if __name__ == "__main__":
    main()
