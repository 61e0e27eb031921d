"""Where the run takes place: the node, started and taken down, its API server, and commands as a user of it types them."""
import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/demo"))
from stage import BIN, NotSeen, say, seen, until      # noqa: E402, F401

HOME = ROOT / "target/e2e"
SCRIPT = ROOT / "tests/cluster/cluster"
SYSTEM = "strongroom-system"
NAMESPACE = "/run/netns/strongroom-node"
VOLUMES = 4


class Node:
    def __init__(self):
        self.home = HOME / "cluster"
        self.state = self.home / "state"
        self.work = HOME / "work"
        # Settings of the caller's are none of a user's here.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("STRONGROOM_")} | {"CLUSTER_HOME": str(self.home), "CLUSTER_BIN": str(BIN)}

    def script(self, *arguments):
        done = subprocess.run([SCRIPT, *map(str, arguments)], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise NotSeen(f"cluster {arguments[0]} failed")
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def up(self):
        self.home.mkdir(parents=True, exist_ok=True)
        for folder in (self.work, self.home / "volumes"):
            shutil.rmtree(folder, ignore_errors=True)
        where = self.script("up-node")
        enter(NAMESPACE)
        self.audit_log = pathlib.Path(where["AUDIT_LOG"])
        self.tools()
        self.storage()

    def down(self):
        if self.home.exists():
            self.script("down")
        shutil.rmtree(self.home / "volumes", ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)

    def tools(self):
        """What a user has on the path, and the folder that commands run in, with the chart in it."""
        self.work.mkdir(mode=0o700)
        (self.work / "helm").symlink_to(ROOT / "helm")
        for name in ("kubectl", "helm"):
            self.tool(name, BIN / name)
        state = self.state
        self.environment |= {
            "PATH": f"{self.home}/tools:{os.environ['PATH']}", "KUBECONFIG": str(state / "admin.kubeconfig"), "KUBECACHEDIR": str(state / "kubectl-cache"), "KUBERC": "off",
            "HELM_CACHE_HOME": str(state / "helm/cache"), "HELM_CONFIG_HOME": str(state / "helm/config"), "HELM_DATA_HOME": str(state / "helm/data"),
        }
        for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            self.environment.pop(proxy, None)

    def tool(self, name, program):
        (self.home / "tools").mkdir(exist_ok=True)
        (self.home / "tools" / name).unlink(missing_ok=True)
        (self.home / "tools" / name).symlink_to(program)

    def storage(self):
        """A default storage class, as every cluster for people has, and volumes on this node's disk."""
        objects = [{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Retain",
                    "metadata": {"name": "disk", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}]
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}]}]}}
        for number in range(VOLUMES):
            folder = self.home / f"volumes/{number}"
            folder.mkdir(parents=True)
            objects.append({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"disk-{number}"}, "spec": {
                "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "disk",
                "local": {"path": str(folder)}, "nodeAffinity": affinity}})
        self.apply(*objects)

    def load(self, archive):
        self.script("load", archive)

    # As a user types it.

    def ask(self, *command, stdin=None, timeout=180):
        try:
            return subprocess.run(list(map(str, command)), env=self.environment, cwd=self.work, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                                  capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise NotSeen(f"{' '.join(map(str, command))}: no end after {timeout} s") from None

    def run(self, *command, stdin=None, timeout=180):
        done = self.ask(*command, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise NotSeen(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def kubectl(self, *arguments, stdin=None, timeout=180):
        return self.run("kubectl", *arguments, stdin=stdin, timeout=timeout)

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def find(self, *arguments):
        """The object, or None if it is not there."""
        done = self.ask("kubectl", "get", *arguments, "-o", "json", "--ignore-not-found")
        if done.returncode:
            raise NotSeen(f"kubectl get {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    # What only the test may know.

    def process(self, pod, namespace=SYSTEM):
        """Number of the first process of the pod's only container, as the machine sees it."""
        container = self.get("pod", pod, "-n", namespace)["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        for line in self.run("ctr", "-a", self.state / "containerd.sock", "-n", "k8s.io", "tasks", "ls").splitlines():
            name, number, *_ = line.split()
            if name == container:
                return int(number)
        raise NotSeen(f"the pod {pod} has no process")


def enter(namespace):
    """This thread, what it starts and later threads use the node's network from here on."""
    with open(namespace) as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise NotSeen(f"the node's network: {os.strerror(ctypes.get_errno())}")


def check(condition, sentence):
    if not condition:
        raise NotSeen(sentence)
