"""PostgreSQL outside of the cluster, at the node's address: a server of our own, with a password, ended with the run."""
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import subprocess
import time

from place import HOME, ROOT, NotSeen

ADDRESS = "10.99.0.1"
PORT = 5432


class Database:
    def __init__(self):
        self.home, self.process = HOME / "postgres", None

    def start(self):
        found = subprocess.run([ROOT / "tests/peers/postgres/find"], stdout=subprocess.PIPE, text=True)
        if found.returncode:
            raise NotSeen("PostgreSQL 15 or newer is missing")
        binaries, password = pathlib.Path(found.stdout.strip()), secrets.token_hex(16)
        user = next(name for name in ("postgres", "nobody") if name in {each.pw_name for each in pwd.getpwall()})
        who = pwd.getpwnam(user)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        os.chown(self.home, who.pw_uid, who.pw_gid)
        (self.home / "password").write_text(password)
        os.chown(self.home / "password", who.pw_uid, who.pw_gid)
        # It refuses to run as root.
        as_user = ["setpriv", "--pdeathsig=QUIT", f"--reuid={user}", f"--regid={who.pw_gid}", "--clear-groups", "--"]
        made = subprocess.run([*as_user, binaries / "initdb", "--no-sync", "--username=strongroom", "--auth=scram-sha-256", f"--pwfile={self.home}/password", "--encoding=UTF8", "--locale=C",
                               "--pgdata", self.home / "data"], cwd=self.home, capture_output=True, text=True)
        if made.returncode:
            raise NotSeen(f"initdb: {made.stderr.strip()}")
        (self.home / "password").unlink()
        with open(self.home / "data/pg_hba.conf", "a") as file:
            file.write("host all all 10.0.0.0/8 scram-sha-256\n")
        settings = {"listen_addresses": ADDRESS, "port": PORT, "unix_socket_directories": "", "max_connections": 100, "shared_buffers": "32MB", "logging_collector": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(self.home / "log", "w") as log:
            self.process = subprocess.Popen([*as_user, binaries / "postgres", "-D", self.home / "data", *options], cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.await_ready(binaries)
        return f"postgres://strongroom:{password}@{ADDRESS}:{PORT}/postgres"

    def await_ready(self, binaries):
        for _ in range(300):
            if self.process.poll() is not None:
                break
            if subprocess.run([binaries / "pg_isready", "-q", "-h", ADDRESS, "-p", str(PORT)]).returncode == 0:
                return
            time.sleep(0.1)
        raise NotSeen(f"PostgreSQL does not start: {(self.home / 'log').read_text()[-500:]}")

    def stop(self):
        if self.process and self.process.poll() is None:
            # Fast: what is connected is cut off.
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(15)
        shutil.rmtree(self.home, ignore_errors=True)
