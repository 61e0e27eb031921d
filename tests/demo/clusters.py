"""The clusters on which the story can be played: one of our own that is thrown away, or one of theirs."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from stage import BIN, ROOT, NotSeen, documents, say, seen, shown


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

    def prepare(self):
        """Builds what is not built yet, beside whoever called."""
        if not (BIN / "kube-apiserver").exists():
            say("building kube-apiserver, etcd and kubectl from their Go modules at the same time: about 6 minutes, once")
        return subprocess.Popen([ROOT / "tests/cluster/cluster", "build", "control-plane"], env=self.environment, stdin=subprocess.DEVNULL)

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
        self.context = context
        program = shutil.which("kubectl")
        if program is None:
            raise NotSeen("kubectl is missing, which a context of yours needs: https://kubernetes.io/docs/tasks/tools")
        self.kubectl = Kubectl(program, f"--context={context}", cache=work / "kubectl-cache")
        self.touched = False

    def prepare(self):
        """Nothing to build; but a wrong name should be known before minutes of building."""
        self.server = self.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").strip()

    def up(self):
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
        # Bounded: in a cluster whose namespace controller does not run, the namespace would never be gone.
        self.kubectl("delete", "--ignore-not-found", "--timeout=60s", *hooks, "ns/shop", *(f"crd/{kind}.strongroom.dev" for kind in self.ours))
