"""The folder of one run, and what is left of it: nothing, or the logs of what went wrong."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from clusters import Throwaway
from stage import ROOT, say, shown


def workplace():
    """A folder for this run, which nobody else may look into."""
    home = ROOT / "target/demo"
    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob("run-*"):
        tidy_after(left)
    work = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=home))
    (work / "pid").write_text(str(os.getpid()))
    return work


def tidy_after(left):
    """A run that was itself killed could not tidy up: the next one does."""
    if running(left / "pid", "demo.py"):
        return
    if running(left / "strongroom.pid", str(left)):
        os.kill(int((left / "strongroom.pid").read_text()), signal.SIGKILL)
    if (left / "cluster").exists():
        Throwaway(left).down()
    shutil.rmtree(left, ignore_errors=True)


def running(file, as_said_by):
    """Whether the process of that number is still the one that wrote it down."""
    if not file.exists():
        return False
    shows = subprocess.run(["ps", "-o", "args=", "-p", file.read_text()], capture_output=True, text=True).stdout
    return as_said_by in shows


def clear(work, failed):
    """Logs hold no secrets and stay when something went wrong; everything else goes."""
    kept = ROOT / "target/demo/last-failure"
    logs = list(work.glob("**/*.log"))
    if failed and logs:
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()
        for log in logs:
            shutil.copy(log, kept)
        ours = kept / "strongroom.log"
        tail = ours.read_text().splitlines()[-25:] if ours.exists() else []
        say("\n".join(f"  | {line}" for line in tail))
        say(f"The logs are in {shown(kept)}.")
    shutil.rmtree(work, ignore_errors=True)
