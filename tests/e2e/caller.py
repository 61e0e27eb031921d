"""Callers of REST, outside of every pod, at the Service's address. Secrets go to curl in files that only we can read."""
import json

from place import SYSTEM, NotSeen, check
from seen import digest


class Caller:
    def __init__(self, node):
        self.node = node

    def address(self):
        return self.node.get("service", "strongroom", "-n", SYSTEM)["spec"]["clusterIP"]

    def curl(self, path, *options, user=None):
        """Status and answer, verified with the root that the guide hands out."""
        stdin = f'user = "{user}"\n' if user else ""
        done = self.node.ask("curl", "-sS", "--max-time", "10", "--cacert", "ca.crt", "-w", "\n%{http_code}", "-K", "-", "--connect-to", f"::{self.address()}:443",
                             *options, f"https://strongroom.{SYSTEM}.svc{path}", stdin=stdin)
        if done.returncode:
            raise NotSeen(f"curl {path}: {done.stderr.strip()}")
        text, _, status = done.stdout.rpartition("\n")
        try:
            return int(status), json.loads(text)
        except ValueError:
            return int(status), text

    def administrator(self):
        return "ops:" + (self.node.work / "ops.password").read_text().strip()

    def service(self, name, **how):
        """Digest of each pair of a Service, as the administrator reads it."""
        status, answer = self.curl(f"/v1/services/{name}", user=self.administrator(), **how)
        check(status == 200, f"REST answers for the Service {name}: {status}")
        return pairs(answer)


def pairs(answer):
    return {key: digest(value) for credential in answer["credentials"] for key, value in credential["credential_pairs"].items()}
