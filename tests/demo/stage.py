"""What the story is played on: the clock, the processes, the cluster, and the tidying up. Knows nothing of the story."""
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CLUSTER_BIN", ROOT / "target/cluster/bin"))
STARTED = time.monotonic()


class NotSeen(Exception):
    """A step that did not happen. The message is for whoever watches."""


def say(text=""):
    print(text, flush=True)


def seen(text):
    say(f"[{time.monotonic() - STARTED:6.1f} s] {text}")


def shown(path):
    """As somebody would type it who stands in the repository."""
    path = pathlib.Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) and pathlib.Path.cwd() == ROOT else str(path)


def until(question, seconds, otherwise, every=0.1):
    """Asks until the answer is truthy. `otherwise` is what was not seen."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > end:
            raise NotSeen(f"{otherwise() if callable(otherwise) else otherwise} (waited {seconds} s)")
        time.sleep(every)
    return answer


def free_port():
    # Below the range from which outgoing connections take theirs.
    while True:
        port = random.randrange(30000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def documents(path, *kinds):
    """The YAML documents of these kinds, as text."""
    parts = re.split(r"^---\n", pathlib.Path(path).read_text(), flags=re.M)
    return "---\n".join(part for part in parts if any(re.search(rf"^kind: {kind}$", part, re.M) for kind in kinds))


class Kubectl:
    def __init__(self, program, *options, cache):
        self.command = [str(program), *options]
        # Not in the home of whoever runs this.
        self.environment = {**os.environ, "KUBECACHEDIR": str(cache), "KUBERC": "off"}

    def ask(self, *arguments, stdin=None):
        command = [*self.command, *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, env=self.environment)

    def __call__(self, *arguments, stdin=None):
        done = self.ask(*arguments, stdin=stdin)
        if done.returncode:
            raise NotSeen(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self("get", *arguments, "-o", "json"))

    def line(self, text):
        """A command for the reader to copy."""
        return " ".join([shown(self.command[0]), *(shlex.quote(option) for option in self.command[1:])]) + " " + text


class Throwaway:
    """A control plane of our own, on 127.0.0.1, gone afterwards."""

    webhook_host = "127.0.0.1"
    reaches_loopback = True

    def __init__(self, work):
        self.environment = {**os.environ, "CLUSTER_HOME": str(work / "cluster"), "CLUSTER_BIN": str(BIN)}
        for port in ("ETCD_PORT", "ETCD_PEER_PORT", "APISERVER_PORT"):
            self.environment.pop(port, None)
        self.work = work

    def run(self, *arguments):
        command = [ROOT / "tests/cluster/cluster", *arguments]
        # A session of its own: Ctrl-C is for us, and we decide in which order things end.
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, start_new_session=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise NotSeen(f"cluster {' '.join(arguments)}: {done.stderr.strip()}")
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def up(self):
        where = self.run("up")
        self.server, self.audit_log = where["SERVER"], pathlib.Path(where["AUDIT_LOG"])
        self.admin = where["KUBECONFIG"]
        self.kubectl = Kubectl(BIN / "kubectl", f"--kubeconfig={shown(self.admin)}", cache=self.work / "kubectl-cache")
        seen(f"kube-apiserver {self.version()} and etcd are up at {self.server}")

    def version(self):
        return json.loads(self.kubectl("get", "--raw", "/version"))["gitVersion"]

    def operator(self):
        """The rights of the chart and no others: a token of its ServiceAccount, in a kubeconfig that only we can read."""
        install = ROOT / "manifests/install.yaml"
        self.kubectl("apply", "--server-side", "-f", "-", stdin=documents(install, "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"))
        token = self.kubectl("create", "token", "strongroom", "-n", "strongroom-system", "--duration=24h").strip()
        path = self.work / "operator.kubeconfig"
        authority = self.work / "cluster/state/pki/ca.crt"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "operator",
            "clusters": [{"name": "throwaway", "cluster": {"server": self.server, "certificate-authority": str(authority)}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "operator", "context": {"cluster": "throwaway", "user": "operator"}}],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        seen("ServiceAccount strongroom-system/strongroom has the rights of the chart, and Strongroom runs as it")
        return {"KUBECONFIG": str(path)}, []

    def writes(self, since):
        """What the operator wrote after this many bytes of the audit log, as (verb, resource) -> times."""
        counted = {}
        with open(self.audit_log) as log:
            log.seek(since)
            for event in map(json.loads, log):
                what = event.get("objectRef", {})
                if event["user"]["username"] != "system:serviceaccount:strongroom-system:strongroom" or event["verb"] not in ("create", "update", "patch", "delete"):
                    continue
                if what.get("apiGroup") in ("authentication.k8s.io", "authorization.k8s.io"):
                    continue      # questions that HTTP asks with POST
                name = "/".join(filter(None, (what.get("resource"), what.get("subresource"))))
                counted[(event["verb"], name)] = counted.get((event["verb"], name), 0) + 1
        return counted

    def down(self):
        self.run("down")


class Theirs:
    """A cluster that was there before us: we say what we do to it, refuse to share it, and take our things away again."""

    audit_log = None
    ours = ("credentials", "services", "certificateauthorities", "clientcredentials")

    def __init__(self, work, context):
        self.context, self.work = context, work
        program = shutil.which("kubectl") or BIN / "kubectl"
        self.kubectl = Kubectl(program, f"--context={context}", cache=work / "kubectl-cache")
        self.touched = False

    def up(self):
        self.server = self.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").strip()
        say(f"Using the context '{self.context}' ({self.server}) with your rights: installing CRDs, two webhook")
        say("configurations and the namespace shop there, and removing them at the end.")
        host = re.sub(r"^https?://|[:/][^\]]*$", "", self.server)
        self.webhook_host = os.environ.get("WEBHOOK_HOST", "127.0.0.1")
        if self.webhook_host == "127.0.0.1" and host not in ("127.0.0.1", "localhost", "[::1]"):
            raise NotSeen("its API server cannot reach 127.0.0.1 here: set WEBHOOK_HOST to an address of this machine that it can reach")
        self.reaches_loopback = self.webhook_host == "127.0.0.1"
        there = [name for name in (*(f"crd/{kind}.strongroom.dev" for kind in self.ours), "ns/shop", "mutatingwebhookconfiguration/strongroom")
                 if self.kubectl.ask("get", name).returncode == 0]
        if there:
            raise NotSeen(f"{', '.join(there)} exists there already: this would take over something that is in use")
        self.touched = True
        seen("that cluster answers, and nothing of Strongroom is there yet")

    def operator(self):
        return {}, ["--kube-context", self.context]

    def down(self):
        if not self.touched:
            return
        hooks = ("mutatingwebhookconfiguration/strongroom", "validatingwebhookconfiguration/strongroom")
        self.kubectl("delete", "--ignore-not-found", *hooks, "ns/shop", *(f"crd/{kind}.strongroom.dev" for kind in self.ours))


class Strongroom:
    """The process: started, asked whether it is ready, killed, started again with the same data and the same ports."""

    def __init__(self, binary, work, cluster):
        self.binary, self.work, self.cluster = binary, work, cluster
        self.rest, self.webhook, self.admin = free_port(), free_port(), free_port()
        self.data, self.log = work / "data", work / "strongroom.log"
        self.process = None

    @property
    def url(self):
        return f"https://127.0.0.1:{self.rest}"

    def start(self, more_environment, options):
        self.more = more_environment, options
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STRONGROOM_")}
        listen = "127.0.0.1" if self.cluster.reaches_loopback else "0.0.0.0"
        command = [
            self.binary, "run", "--data-dir", self.data, "--listen", f"127.0.0.1:{self.rest}", "--webhook-listen", f"{listen}:{self.webhook}",
            "--admin-listen", f"127.0.0.1:{self.admin}", "--webhook-name", self.cluster.webhook_host, *options,
        ]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), env={**environment, **more_environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until(self.ready, 30, lambda: f"strongroom is ready ({self.why})")

    def ready(self):
        if (code := self.process.poll()) is not None:
            raise NotSeen(f"strongroom ended with {code}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=2) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            self.why = error.read().decode(errors="replace").strip().replace("\n", "; ")
        except OSError as error:
            self.why = str(error)
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def again(self):
        self.start(*self.more)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


def build():
    """Both at once: each has stretches that keep one core busy and the other idle."""
    made = BIN / "kube-apiserver"
    if not (ROOT / "target/debug/strongroom").exists():
        say("building Strongroom with cargo: about 5 minutes the first time, seconds afterwards")
    if not made.exists():
        say("building kube-apiserver, etcd and kubectl from their Go modules at the same time: about 6 minutes, once")
    control_plane = subprocess.Popen([ROOT / "tests/cluster/cluster", "build", "control-plane"], env={**os.environ, "CLUSTER_BIN": str(BIN)}, stdin=subprocess.DEVNULL)
    try:
        command = ["cargo", "build", "--locked", "--bin", "strongroom", "--message-format=json-render-diagnostics"]
        cargo = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        if cargo.returncode:
            raise NotSeen("cargo build failed")
        if control_plane.wait():
            raise NotSeen("the control plane could not be built")
    finally:
        if control_plane.poll() is None:
            control_plane.terminate()
    messages = (json.loads(line) for line in cargo.stdout.splitlines() if line.startswith("{"))
    binary = [message["executable"] for message in messages if message.get("executable")][-1]
    seen("Strongroom and the control plane are built")
    return binary


def workplace():
    home = ROOT / "target/demo"
    home.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=home))


def clear(work, failed):
    """Logs hold no secrets and stay when something went wrong; everything else goes."""
    kept = ROOT / "target/demo/last-failure"
    if failed:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for log in work.glob("**/*.log"):
            shutil.copy(log, kept)
        tail = (kept / "strongroom.log").read_text().splitlines()[-25:] if (kept / "strongroom.log").exists() else []
        say("\n".join(f"  | {line}" for line in tail))
        say(f"The logs are in {shown(kept)}.")
    shutil.rmtree(work, ignore_errors=True)
    sys.stdout.flush()
