"""Steps 1 and 2: installed with default values, and pods that receive what they asked for."""
import json

from place import ROOT, SYSTEM, check, seen, until
from seen import all_ready, received, shown

SAMPLES = ROOT / "manifests/samples"


def installed(run):
    node, guides = run.node, run.guides
    said = guides.run("install", "install")
    check("all" in said and "granted" in said, f"helm test prints what strongroom check found: {said}")
    for line in said.splitlines():
        print(f"    {line}")
    run.granted()
    seen("helm install with default values; helm test passes")

    spec = node.get("pod", "strongroom-0", "-n", SYSTEM)["spec"]
    container, security = spec["containers"][0], spec["securityContext"]
    own = container["securityContext"]
    check(security["runAsNonRoot"] and security["seccompProfile"]["type"] == "RuntimeDefault", "non-root, with seccomp RuntimeDefault")
    check(own["readOnlyRootFilesystem"] and own["capabilities"]["drop"] == ["ALL"] and own["allowPrivilegeEscalation"] is False, "a read-only root file system and no capability")
    check(container["resources"]["limits"]["memory"] == "64Mi", "a limit of 64 MiB")
    number = node.process("strongroom-0")
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{number}/status").read().splitlines() if ":\t" in line)
    check(set(status["Uid"].split()) == {"65532"}, f"the process is not root's: {status['Uid']}")
    check(int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, f"it has no capability: {status['CapEff']} of {status['CapBnd']}")
    check(status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", f"its system calls are filtered: {status['Seccomp']}, {status['NoNewPrivs']}")
    root = next(line for line in open(f"/proc/{number}/mounts") if line.split()[1] == "/")
    check(root.split()[3].split(",")[0] == "ro", f"its root file system is read-only: {root}")
    run.note("memory, idle", run.memory())
    seen(f"the process, as the kernel sees it: uid 65532, no capability, seccomp filter, read-only root, limit 64 MiB, {run.memory()}")
    guides.run("install", "certificate")
    seen("its REST certificate is signed by an authority of its own")


def samples(run):
    node = run.node
    for file in sorted(SAMPLES.glob("*.yaml")):
        node.kubectl("apply", "-f", file)
    all_ready(node, "shop", 120, besides=("mail-stored",))
    print(node.kubectl("get", "strongroom", "-n", "shop"))
    seen("the samples: every resource is Ready (mail-stored waits for its value, as it should)")
    said, pod = until(lambda: received_by_the_sample(node), 120, "the sample's pod says what it received")
    check("strongroom.dev/injected" in pod["metadata"]["annotations"], "the pod says what was injected")
    same_as(said["environment"], shown(node, "till-env", "shop"), "the sample's pod")
    seen("the sample's pod has the Service in its environment")


def received_by_the_sample(node):
    pod = node.find("pod", "till", "-n", "shop")
    if not pod or pod["status"]["phase"] != "Running":
        return None
    lines = node.ask("kubectl", "-n", "shop", "logs", "till").stdout.strip().splitlines()
    return (json.loads(lines[-1]), pod) if lines else None


def same_as(received, expected, who):
    """Every key that should be there, with its value."""
    wrong = [key for key, value in expected.items() if received.get(key) != value]
    check(expected and not wrong, f"{who} has received {', '.join(sorted(expected))}, but {', '.join(wrong)} differ")


def pods(run):
    node, guides = run.node, run.guides
    print(guides.run("first-secret", "ask"))
    guides.run("first-secret", "pods")
    guides.run("rotate-and-restart", "administrator")
    rest = run.caller.service("web.orders")
    environment, pod = received(node, "web", "orders")
    same_as(environment["environment"], rest, "the pod with an environment")
    files, _ = received(node, "web", "reports")
    same_as({path.removeprefix("orders/"): value for path, value in files["files"].items()}, rest, "the pod with files")
    seen(f"a pod with an environment and one with files: the digests of {', '.join(sorted(rest))} are those that REST gives")
