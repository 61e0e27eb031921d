#!/usr/bin/env python3
"""The main job, watched as it happens: demo.py run | demo.py demo [--context NAME]

`run` stays up until Ctrl-C. `demo` needs no terminal, kills Strongroom in the middle, and ends with 0 only if every
step was seen. No value of a credential is printed by either.
"""
import argparse
import json
import secrets
import signal
import subprocess
import sys
import time

from caller import Caller, decoded, digest, masked
from clusters import Theirs, Throwaway
from process import Strongroom, build
from stage import ROOT, STARTED, NotSeen, say, seen, shown, until
from workplace import clear, workplace

SAMPLES = ROOT / "manifests/samples"
SHOP = ("-n", "shop")
FIRST = {"Credential/db-app", "Credential/smtp", "Service/till", "CertificateAuthority/root", "CertificateAuthority/shop-ca", "ClientCredential/till-17", "ClientCredential/till-18"}
SERVICE = "/v1/services/shop.till"
UNLABELLED = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "other-", "namespace": "shop"}, "spec": {"serviceAccountName": "till", "containers": [{"name": "other", "image": "registry.example/other:1"}]}}


class Story:
    def __init__(self, cluster, strongroom, work):
        self.cluster, self.strongroom, self.work, self.kubectl = cluster, strongroom, work, cluster.kubectl
        self.caller = Caller(strongroom, work)

    def install(self):
        self.kubectl("apply", "--server-side", "-f", ROOT / "crds")
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", ROOT / "crds")
        seen("the four CRDs are installed")
        identity = self.cluster.operator()
        hooks = (ROOT / "manifests/webhook-local.yaml").read_text()
        address = f"{self.cluster.webhook_host}:{self.strongroom.webhook}"
        self.kubectl("apply", "--server-side", "-f", "-", stdin=hooks.replace("127.0.0.1:9443", address))
        self.strongroom.start(*identity)
        key = self.strongroom.data / "strongroom.key"
        check(key.stat().st_mode & 0o777 == 0o400, "the key file can be read by its owner alone")
        seen(f"strongroom run is ready: store and key in {shown(self.strongroom.data)}, key file mode 0400")

    def wait(self, question, seconds, otherwise):
        """Until it is so, or until the process that should make it so has ended."""

        def answer():
            self.strongroom.check_alive()
            return question()

        return until(answer, seconds, otherwise)

    def resources(self):
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in self.kubectl.json("strongroom", *SHOP)["items"]}

    def secret(self, name):
        found = self.kubectl.ask("get", "secret", name, *SHOP, "-o", "json")
        return json.loads(found.stdout) if found.returncode == 0 else None

    def apply(self, *names):
        self.kubectl("apply", *(part for name in names for part in ("-f", SAMPLES / name)))

    def reconciled(self):
        self.apply("10-namespace.yaml", "20-credentials.yaml", "30-service.yaml", "40-authorities.yaml", "50-clients.yaml")
        say(f"  $ kubectl apply -f {shown(SAMPLES)}")
        self.wait(lambda: self.secret("db-app"), 30, "the Secret db-app")
        seen("the first Secret is there: db-app")
        announced = set()

        def all_ready():
            for name, item in self.resources().items():
                if name not in announced and is_ready(item):
                    announced.add(name)
                    seen(f"{name} is Ready")
            return announced >= FIRST

        self.wait(all_ready, 60, lambda: "Ready:" + "".join(f"\n  {name}: {condition(self.resources().get(name, {}))}" for name in sorted(FIRST - announced)) + "\n")
        self.table()

    def table(self):
        say("  $ " + self.kubectl.line("get strongroom -A"))
        say(indented(self.kubectl("get", "strongroom", "-A")))

    def received(self):
        self.apply("60-pod.yaml")
        pod = self.kubectl.json("pod", "till", *SHOP)
        injected = [source for container in pod["spec"]["containers"] for source in container.get("envFrom", [])]
        check(any(source.get("secretRef", {}).get("name") == "till-env" for source in injected), "the pod's containers refer to the Secret till-env")
        check("strongroom.dev/injected" in pod["metadata"]["annotations"], "the pod says what was injected")
        seen("the pod till came through the webhook; the injected part of its spec:")
        say(indented(json.dumps({"containers": [{"name": c["name"], "envFrom": c.get("envFrom", [])} for c in pod["spec"]["containers"]]}, indent=2)))
        say(f"    strongroom.dev/injected: {pod['metadata']['annotations']['strongroom.dev/injected']}")
        bundle = self.secret("till-env")
        check(set(decoded(bundle)) == {"username", "password", "SMTP_HOST", "SMTP_USER", "SMTP_PASSWORD"}, "the Secret till-env has both credentials' keys")
        seen(f"the Secret that it received, till-env, has the keys {', '.join(sorted(decoded(bundle)))}")
        other = json.loads(self.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(UNLABELLED)))
        check("envFrom" not in other["spec"]["containers"][0], "a pod that did not ask is left alone")
        seen("a pod that did not ask was left alone")

    def basic(self):
        password = decoded(self.secret("till-17"))["password"]
        say("  $ " + self.caller.line(SERVICE, f'-u "shop/till-17:$({self.kubectl.line("get secret till-17 -n shop -o jsonpath={.data.password}")} | base64 -d)"'))
        status, answer = self.caller.curl(SERVICE, user=f"shop/till-17:{password}")
        self.is_the_service(status, answer)
        seen("a caller outside the cluster read the Service with user name and password (the values, hidden here, are the Secret's):")
        say(indented(json.dumps(masked(answer), indent=2)))
        status, _ = self.caller.curl(SERVICE, user="shop/till-17:wrong")
        check(status == 401 or status == 403, f"a wrong password is refused, and not answered with {status}")
        elsewhere, _ = self.caller.curl("/v1/credentials", user=f"shop/till-17:{password}")
        check(elsewhere == 403, f"the client reads nothing but its Service: {elsewhere}")
        seen(f"a wrong password gets {status}, and the right one gets {elsewhere} for everything that is not its Service")

    def mutual_tls(self):
        pairs = decoded(self.secret("till-18"))
        certificate, key = self.caller.certificate(pairs, "till-18")
        how = f"--cert {shown(certificate)} --key {shown(key)}"
        say("  $ " + self.caller.line(SERVICE, how))
        self.is_the_service(*self.caller.curl(SERVICE, "--cert", certificate, "--key", key))
        roots = self.work / "shop-root.crt"
        roots.write_text(self.kubectl.json("configmap", "shop-root", *SHOP)["data"]["ca.crt"])
        verified = subprocess.run(["openssl", "verify", "-purpose", "sslclient", "-CAfile", roots, "-untrusted", certificate, certificate], capture_output=True, text=True)
        check(verified.returncode == 0, f"openssl accepts the chain: {verified.stdout.strip()} {verified.stderr.strip()}")
        seen("the same answer over mutual TLS with the certificate of till-18, whose chain openssl verifies against the ConfigMap shop-root")

    def is_the_service(self, status, answer):
        check(status == 200, f"the Service is answered, and not {status} {masked(answer)}")
        pairs = {}
        for credential in answer["credentials"]:
            pairs |= credential["credential_pairs"]
        check(digest(pairs) == digest(decoded(self.secret("till-env"))), "the values over REST are those of the Secret till-env")

    def shape(self):
        """Versions and digests of everything that Strongroom made: equal before and after, or something was written."""
        made = {}
        for kind in ("secrets", "configmaps"):
            for item in self.kubectl.json(kind, *SHOP)["items"]:
                made[f"{kind}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"], item["metadata"]["uid"], digest(item.get("data", {}))
        for name, item in self.resources().items():
            made[name] = item["metadata"]["resourceVersion"], digest(item["status"])
        return made

    def killed(self):
        before = self.shape()
        mark = self.cluster.audit_log.stat().st_size if self.cluster.audit_log else None
        self.strongroom.kill()
        seen("strongroom was killed with SIGKILL")
        started = time.monotonic()
        self.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(UNLABELLED))
        seen(f"meanwhile a pod that did not ask is admitted as ever, in {1000 * (time.monotonic() - started):.0f} ms")
        self.strongroom.again()
        seen("strongroom is ready again")
        time.sleep(2)      # long enough for a pass over everything, in which it could do harm
        after = self.shape()
        different = sorted(name for name in before | after if before.get(name) != after.get(name))
        check(not different, f"nothing changed, but: {', '.join(different)}")
        seen(f"nothing changed: {len(before)} objects have the same resourceVersion, data and status as before")
        if mark is not None:
            written = {what: times for what, times in self.cluster.writes(mark).items() if "webhookconfigurations" not in what[1]}
            check(not written, f"a second pass writes nothing: {written}")
            seen("the API server's audit log has not one write of it since then")

    def stored(self):
        self.apply("70-stored.yaml")
        self.wait(lambda: self.resources()["Credential/mail-stored"].get("status", {}).get("conditions"), 10, "a condition of mail-stored")
        check(self.secret("mail-stored") is None, "there is no Secret before there is a value")
        seen(f"mail-stored waits for its value: {condition(self.resources()['Credential/mail-stored'])}")
        made = subprocess.run([self.strongroom.binary, "client", "create", "ops", "--admin", "--data-dir", str(self.strongroom.data)], capture_output=True, text=True)
        check(made.returncode == 0, f"strongroom client create: {made.stderr.strip()}")
        password = made.stdout.split()[-1]
        seen("strongroom client create ops --admin: an administrator for the REST API (its password is printed once, not here)")
        # In lower case, as Confidant stores every key.
        pairs = {"mail_user": "till", "mail_password": secrets.token_urlsafe(24)}
        say("  $ " + self.caller.line("/v1/credentials", '-u "ops:$PASSWORD" --json \'{"name": "/kubernetes/shop/mail-stored", "credential_pairs": {...}, "enabled": true}\''))
        status, answer = self.caller.curl("/v1/credentials", user=f"ops:{password}", body={"name": "/kubernetes/shop/mail-stored", "credential_pairs": pairs, "enabled": True})
        check(status == 200, f"the credential is created over REST, and not {status} {masked(answer)}")
        secret = self.wait(lambda: self.secret("mail-stored"), 10, "the Secret mail-stored")
        check(digest(decoded(secret)) == digest(pairs), "the Secret mail-stored has the values that were written")
        self.wait(lambda: is_ready(self.resources()["Credential/mail-stored"]), 10, "Ready: Credential/mail-stored")
        seen(f"written over REST, read in the cluster: the Secret mail-stored has the keys {', '.join(sorted(decoded(secret)))}")
        self.table()

    def tally(self):
        if self.cluster.audit_log:
            counted = sorted(self.cluster.writes(0).items(), key=lambda pair: -pair[1])
            say("  API writes of the operator so far: " + ", ".join(f"{times} {verb} {what}" for (verb, what), times in counted))


def check(condition, sentence):
    if not condition:
        raise NotSeen(sentence)


def condition(item):
    ready = [c for c in item.get("status", {}).get("conditions", []) if c["type"] == "Ready"]
    return f"Ready {ready[0]['status']}, {ready[0]['reason']}: {ready[0]['message']}" if ready else "no condition yet"


def is_ready(item):
    status = item.get("status", {})
    return status.get("observedGeneration") == item["metadata"]["generation"] and condition(item).startswith("Ready True")


def indented(text):
    return "\n".join("    " + line for line in text.rstrip().splitlines())


def play(story, kill):
    story.install()
    story.reconciled()
    story.received()
    story.basic()
    story.mutual_tls()
    if kill:
        story.killed()
    story.stored()
    story.tally()


def stay(story):
    say("\nEverything is up. From another terminal, for example:")
    for what in ("get strongroom -A", "delete secret db-app -n shop     # it comes back, with the same value", "describe credsvc till -n shop"):
        say("  " + story.kubectl.line(what))
    say(f"Log: {shown(story.strongroom.log)}. Ctrl-C ends it and removes everything.")
    while story.strongroom.process.poll() is None:
        time.sleep(0.5)
    raise NotSeen("strongroom ended by itself")


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("how", choices=["run", "demo"])
    arguments.add_argument("--context", help="a context of your kubeconfig, instead of a throwaway control plane")
    chosen = arguments.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    work, begun, failed = None, [], True
    try:
        work = workplace()
        cluster = Theirs(work, chosen.context) if chosen.context else Throwaway(work)
        binary = build(cluster)
        begun.append(cluster.down)
        cluster.up()
        strongroom = Strongroom(binary, work, cluster)
        begun.append(strongroom.stop)
        story = Story(cluster, strongroom, work)
        play(story, kill=chosen.how == "demo")
        failed = False
        if chosen.how == "run":
            stay(story)
    except NotSeen as error:
        failed = True
        say(f"\nNOT SEEN: {error}")
    except KeyboardInterrupt:
        say("\nstopping")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for end in reversed(begun):
            try:
                end()
            except NotSeen as error:
                failed = True
                say(f"tidying up: {error}")
        if work:
            clear(work, failed)
    if begun and not failed:
        seen("everything that was started has been removed" + (", and every step was seen" if chosen.how == "demo" else ""))
    say(f"total: {time.monotonic() - STARTED:.1f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
