"""Strongroom itself: built, started, killed, started again."""
import json
import os
import subprocess
import urllib.error
import urllib.request

from stage import ROOT, NotSeen, free_ports, say, seen, until


class Strongroom:
    """The process: started, asked whether it is ready, killed, started again with the same data and the same ports."""

    def __init__(self, binary, work, cluster):
        self.binary, self.work, self.cluster = binary, work, cluster
        self.rest, self.webhook, self.admin = free_ports(3)
        self.data, self.log = work / "data", work / "strongroom.log"
        self.process, self.why = None, "no answer yet"

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
        (self.work / "strongroom.pid").write_text(str(self.process.pid))
        until(self.ready, 30, lambda: f"strongroom is ready ({self.why})")

    def check_alive(self):
        if (code := self.process.poll()) is not None:
            raise NotSeen(f"strongroom ended with {code}")

    def ready(self):
        self.check_alive()
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


def build(cluster):
    """Strongroom, and beside it what the cluster needs: each has stretches that keep one core busy and the other idle."""
    if not (ROOT / "target/debug/strongroom").exists():
        say("building Strongroom with cargo: about 5 minutes the first time, seconds afterwards")
    beside = cluster.prepare()
    try:
        command = ["cargo", "build", "--locked", "--bin", "strongroom", "--message-format=json-render-diagnostics"]
        cargo = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        if cargo.returncode:
            raise NotSeen("cargo build failed")
        if beside and beside.wait():
            raise NotSeen("the control plane could not be built")
    finally:
        if beside and beside.poll() is None:
            beside.terminate()
    messages = (json.loads(line) for line in cargo.stdout.splitlines() if line.startswith("{"))
    binary = [message["executable"] for message in messages if message.get("executable")][-1]
    seen("everything is built")
    return binary
