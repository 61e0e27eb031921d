"""What everybody on stage needs: the clock, what to say, how to wait. Knows nothing of the story."""
import os
import pathlib
import random
import re
import socket
import time

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


def free_ports(count):
    """Held together so that they differ; below the range from which outgoing connections take theirs."""
    held = []
    try:
        while len(held) < count:
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", random.randrange(30000, 32000)))
                held.append(probe)
            except OSError:
                probe.close()
        return [probe.getsockname()[1] for probe in held]
    finally:
        for probe in held:
            probe.close()


def documents(path, *kinds):
    """The YAML documents of these kinds, as text."""
    parts = re.split(r"^---\n", pathlib.Path(path).read_text(), flags=re.M)
    return "---\n".join(part for part in parts if any(re.search(rf"^kind: {kind}$", part, re.M) for kind in kinds))
