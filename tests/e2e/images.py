"""Images without a container engine: Strongroom's from its release build, and the small program of the pods."""
import os
import pathlib
import platform
import subprocess

from place import HOME, ROOT, NotSeen, say

IMAGE = ROOT / "tests/image/image.py"
VERSION = next(line.split('"')[1] for line in (ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version"))
STRONGROOM = f"registry.example/strongroom:{VERSION}"
# The same program under another name, to upgrade to.
NEXT = "registry.example/strongroom:next"
TILL = "registry.example/till:1"


def binary():
    """STRONGROOM_BINARY: another static build than the release one, for whoever works on the test."""
    static = ROOT / f"target/{platform.machine().replace('arm64', 'aarch64')}-unknown-linux-gnu/release/strongroom"
    found = pathlib.Path(os.environ.get("STRONGROOM_BINARY") or static).resolve()
    if not found.exists():
        raise NotSeen(f"{found} is not there: make image")
    return found


def make(archive, *arguments):
    with open(archive, "wb") as file:
        done = subprocess.run([IMAGE, *map(str, arguments)], stdout=file)
    if done.returncode:
        raise NotSeen(f"no image {archive.name}")
    return archive


def archives():
    HOME.mkdir(parents=True, exist_ok=True)
    program = HOME / "till"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath", "GO111MODULE": "off"}
    if subprocess.run(["go", "build", "-o", program, ROOT / "tests/e2e/till/main.go"], env=environment).returncode:
        raise NotSeen("the program of the pods is not built")
    server = binary()
    say(f"Strongroom is {server.relative_to(ROOT) if server.is_relative_to(ROOT) else server}, {server.stat().st_size / 1e6:.0f} MB")
    return [
        make(HOME / "till.tar", TILL, '["/till"]', f"{program}:/till"),
        make(HOME / "strongroom.tar", "--strongroom", STRONGROOM, server),
        make(HOME / "next.tar", "--strongroom", NEXT, server),
    ]
