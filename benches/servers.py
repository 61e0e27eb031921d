"""The two that are compared, as processes with folders of their own: started, killed, started again.
Both serve TLS with the same kind of certificate, keep what they acknowledge, and write an audit log."""
import base64
import json
import os
import pathlib
import secrets
import statistics
import subprocess
import time
import urllib.request
import ssl

import authority
import load
from stage import NotSeen, free_ports, until

VALUE = "v" * 200


def certificate(work):
    """A root and a P-256 certificate of it, for both, and what a caller with a P-256 key would have signed."""
    run = lambda *command: subprocess.run(command, check=True, cwd=work, capture_output=True)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("openssl", "req", "-x509", *new, "-keyout", "root.key", "-out", "root.pem", "-days", "7", "-subj", "/CN=bench root")
    run("openssl", "req", *new, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    run("openssl", "req", *new, "-keyout", "caller.key", "-out", "caller.csr", "-subj", "/CN=caller.example.test")
    (work / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "root.pem", "-CAkey", "root.key", "-out", "server.pem", "-days", "7", "-extfile", "names", "-CAcreateserial")


def folder_size(path):
    return sum(file.stat().st_size for file in pathlib.Path(path).rglob("*") if file.is_file())


class Server:
    """A process. Its subclasses know how it is configured and what its requests look like."""

    name = ""

    def __init__(self, work, label):
        self.work, self.tls = work / label, work
        self.work.mkdir()
        self.port, self.other = free_ports(2)
        self.process = None
        self.keys = self.work / "keys"

    def where(self):
        return {"address": f"127.0.0.1:{self.port}", "server_name": "localhost", "ca": str(self.tls / "root.pem")}

    def start(self):
        self.spawn()
        self.until_answering()

    def spawn(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("STRONGROOM_", "BAO_", "VAULT_"))}
        with open(self.work / "log", "a") as log:
            self.process = subprocess.Popen(list(map(str, self.command())), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def resident(self):
        """MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def cpu(self):
        """Seconds so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / load.TICK

    def call(self, method, path, body=None):
        """One request outside of what is measured."""
        context = ssl.create_default_context(cafile=self.tls / "root.pem")
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", data, {**self.headers(), "Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else None

    def said(self):
        log = self.work / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""

    def check_alive(self):
        if (code := self.process.poll()) is not None:
            raise NotSeen(f"{self.name} ended with {code}; its log is {self.work / 'log'}")

    def seed(self, number):
        """Adds credentials with 64 connections, and remembers where they are in `keys`."""
        load.run(self, self.create(), connections=64, seconds=3600, warm_up=0, count=number, first_number=self.numbers(), **self.remember(number))

    def numbers(self):
        """The first number that no job has used for a name."""
        self.used = getattr(self, "used", 0) + 10_000_000
        return self.used


class Strongroom(Server):
    name = "Strongroom"
    binary = load.ROOT / "target/release/strongroom"

    def __init__(self, work, label="strongroom"):
        super().__init__(work, label)
        self.data, self.audit = self.work / "data", self.work / "data/audit"
        made = subprocess.run([self.binary, "client", "create", "bench", "--admin", "--data-dir", self.data], capture_output=True, text=True)
        if made.returncode:
            raise NotSeen(f"strongroom client create: {made.stderr.strip()}")
        self.password = made.stdout.strip()

    def command(self):
        return [
            self.binary, "serve", "--data-dir", self.data, "--listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.other}",
            "--tls-cert", self.tls / "server.pem", "--tls-key", self.tls / "server.key",
        ]

    def headers(self):
        return {"Authorization": "Basic " + base64.b64encode(f"bench:{self.password}".encode()).decode()}

    def until_answering(self):
        def answers():
            self.check_alive()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.other}/readyz", timeout=2) as answer:
                    return answer.status == 200
            except OSError:
                return False
        until(answers, 60, "Strongroom is ready", every=0.02)

    def create(self):
        body = {"name": "bench-{n}", "credential_pairs": {"value": VALUE}}
        return {"method": "POST", "path": "/v1/credentials", "headers": self.headers(), "body": json.dumps(body)}

    def remember(self, number):
        return {"capture": "id", "capture_into": str(self.keys)}

    def read(self, keys=None):
        return {"method": "GET", "path": "/v1/credentials/{key}", "headers": self.headers(), "keys": str(keys or self.keys)}

    def bundle(self, number):
        """What reads this many credentials at once, as a service of its own does."""
        credentials = [
            self.call("POST", "/v1/credentials", {"name": f"bundled-{n}", "credential_pairs": {f"value_{n}": VALUE}})["id"]
            for n in range(number)
        ]
        self.call("PUT", "/v1/services/bundle", {"credentials": credentials})
        return {"method": "GET", "path": "/v1/services/bundle", "headers": self.headers()}

    def revise(self, keys):
        """Each value differs: an update that changes nothing makes no revision."""
        body = {"credential_pairs": {"value": "{n}" + VALUE[8:]}}
        return {"method": "PUT", "path": "/v1/credentials/{key}", "headers": self.headers(), "body": json.dumps(body), "keys": str(keys), "order": "apart"}

    def keep_versions(self, number):
        """All of them, always."""

    def sign(self):
        """By Confidant's API, which keeps no certificate, but a record of each."""
        self.stop()
        name = authority.make(self)
        self.start()
        body = {"csr": (self.tls / "caller.csr").read_text(), "validity": 1}
        return {"method": "POST", "path": f"/v1/certificates/{name}", "headers": self.headers(), "body": json.dumps(body)}

    def named(self, number):
        """CredHub's API: this many names with 200 bytes each, and the requests of its comparison."""
        first, keys = self.numbers(), self.work / "named"
        put = {"method": "PUT", "path": "/api/v1/data", "headers": self.headers(), "body": json.dumps({"name": "/bench/{n}", "type": "value", "value": VALUE})}
        load.run(self, put, connections=64, seconds=600, warm_up=0, count=number, first_number=first)
        keys.write_text("".join(f"{first + n}\n" for n in range(number)))
        self.call("POST", "/api/v1/data", {"name": "/bench-ca", "type": "certificate", "parameters": {"common_name": "bench", "is_ca": True}})
        post = lambda body: {"method": "POST", "path": "/api/v1/data", "headers": self.headers(), "body": json.dumps(body)}
        return {
            "get": {"method": "GET", "path": "/api/v1/data?current=true&name=/bench/{key}", "headers": self.headers(), "keys": str(keys)},
            "set": put,
            "password": post({"name": "/password/{n}", "type": "password"}),
            "certificate": post({"name": "/certificate/{n}", "type": "certificate", "parameters": {"common_name": "c{n}.example.test", "ca": "/bench-ca"}}),
        }

    def folder(self):
        """Twenty names beside all others, and the request that finds them."""
        for n in range(20):
            self.call("PUT", "/api/v1/data", {"name": f"/folder/{n}", "type": "value", "value": VALUE})
        return {"method": "GET", "path": "/api/v1/data?path=/folder", "headers": self.headers()}

    def part(self):
        """Twenty names that share a part with no other, and the request that finds them. The first search has names indexed: waits until it is done."""
        for n in range(20):
            self.call("PUT", "/api/v1/data", {"name": f"/apart/{n}-needle", "type": "value", "value": VALUE})
        find = "/api/v1/data?name-like=-needle"

        def median(path):
            times = []
            for _ in range(9):
                begun = time.monotonic()
                found = len(self.call("GET", path)["credentials"])
                times.append(time.monotonic() - begun)
                if found != 20:
                    raise NotSeen(f"{path} finds {found} names, and not 20")
            return statistics.median(times)

        median(find)
        time.sleep(1)
        until(lambda: median(find) < 2 * median("/api/v1/data?path=/apart"), 300, "names are indexed", every=1)
        return {"method": "GET", "path": find, "headers": self.headers()}


class OpenBao(Server):
    """One node with its integrated storage (raft), unsealed by a key file, as Strongroom is; the root token."""

    name = "OpenBao"
    binary = None

    def __init__(self, work, label="openbao"):
        super().__init__(work, label)
        self.data, self.audit = self.work / "raft", self.work / "audit"
        self.data.mkdir()
        self.audit.mkdir()
        (self.work / "seal.key").write_bytes(secrets.token_bytes(32))
        (self.work / "bao.hcl").write_text(f"""
            api_addr = "https://127.0.0.1:{self.port}"
            cluster_addr = "https://127.0.0.1:{self.other}"
            storage "raft" {{
              path = "{self.data}"
              node_id = "one"
            }}
            listener "tcp" {{
              address = "127.0.0.1:{self.port}"
              cluster_address = "127.0.0.1:{self.other}"
              tls_cert_file = "{self.tls}/server.pem"
              tls_key_file = "{self.tls}/server.key"
            }}
            seal "static" {{
              current_key_id = "one"
              current_key = "file://{self.work}/seal.key"
            }}
            audit "file" "log" {{
              options {{
                file_path = "{self.audit}/audit.log"
              }}
            }}
            """)
        self.token = None

    def command(self):
        return [self.binary, "server", f"-config={self.work}/bao.hcl", "-log-level=warn"]

    def headers(self):
        return {"X-Vault-Token": self.token} if self.token else {}

    def start(self):
        self.spawn()
        if self.token is None:
            shares = {"recovery_shares": 1, "recovery_threshold": 1}
            self.token = until(lambda: self.attempt("PUT", "/v1/sys/init", shares), 60, "OpenBao is initialised")["root_token"]
            self.until_answering()
            self.call("POST", "/v1/sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
            until(lambda: self.attempt("GET", "/v1/secret/config"), 60, "OpenBao's secrets are mounted")
        self.until_answering()

    def attempt(self, *call):
        self.check_alive()
        try:
            return self.call(*call)
        except OSError:
            return None

    def until_answering(self):
        until(lambda: self.attempt("GET", "/v1/sys/health"), 60, "OpenBao is active", every=0.02)

    def create(self):
        body = {"data": {"value": VALUE}}
        return {"method": "POST", "path": "/v1/secret/data/bench-{n}", "headers": self.headers(), "body": json.dumps(body)}

    def remember(self, number):
        with open(self.keys, "a") as keys:
            keys.writelines(f"bench-{self.used + n}\n" for n in range(number))
        return {}

    def read(self, keys=None):
        return {"method": "GET", "path": "/v1/secret/data/{key}", "headers": self.headers(), "keys": str(keys or self.keys)}

    def bundle(self, number):
        """The same values in one secret: it has no services."""
        self.call("POST", "/v1/secret/data/bundle", {"data": {f"value_{n}": VALUE for n in range(number)}})
        return {"method": "GET", "path": "/v1/secret/data/bundle", "headers": self.headers()}

    def revise(self, keys):
        body = {"data": {"value": "{n}" + VALUE[8:]}}
        return {"method": "POST", "path": "/v1/secret/data/{key}", "headers": self.headers(), "body": json.dumps(body), "keys": str(keys), "order": "apart"}

    def keep_versions(self, number):
        """Ten, unless it is told otherwise."""
        self.call("POST", "/v1/secret/config", {"max_versions": number})

    def sign(self):
        """By a role that keeps no certificate either."""
        self.call("POST", "/v1/sys/mounts/signing", {"type": "pki", "config": {"max_lease_ttl": "168h"}})
        root = (self.tls / "root.pem").read_text() + (self.tls / "root.key").read_text()
        until(lambda: self.attempt("POST", "/v1/signing/config/ca", {"pem_bundle": root}), 60, "OpenBao has an authority")
        self.call("POST", "/v1/signing/roles/bench", {"key_type": "ec", "allow_any_name": True, "ttl": "24h", "no_store": True})
        body = {"csr": (self.tls / "caller.csr").read_text(), "common_name": "caller.example.test"}
        return {"method": "POST", "path": "/v1/signing/sign/bench", "headers": self.headers(), "body": json.dumps(body)}

    def named(self, number):
        """The same by its own means. A password is made by a policy and not kept; a certificate is kept and its key is not."""
        policy = 'length = 30\nrule "charset" { charset = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" }'
        self.call("POST", "/v1/sys/policies/password/bench", {"policy": policy})
        password = {"method": "GET", "path": "/v1/sys/policies/password/bench/generate", "headers": self.headers()}
        return {"get": self.read(), "set": self.create(), "password": password, "certificate": self.certify()}

    def certify(self):
        """What asks it for a new key and a certificate, RSA of 2048 bits both as CredHub has them."""
        self.call("POST", "/v1/sys/mounts/pki", {"type": "pki", "config": {"max_lease_ttl": "8760h"}})
        until(lambda: self.attempt("POST", "/v1/pki/root/generate/internal", {"common_name": "bench", "ttl": "8760h", "key_type": "rsa", "key_bits": 2048}), 60, "OpenBao has an authority")
        self.call("POST", "/v1/pki/roles/bench", {"key_type": "rsa", "key_bits": 2048, "allow_any_name": True, "ttl": "24h", "no_store": False})
        return {"method": "POST", "path": "/v1/pki/issue/bench", "headers": self.headers(), "body": json.dumps({"common_name": "c{n}.example.test"})}
