"""Callers of REST, outside of every pod, at the Service's address."""
from place import SYSTEM, check
from answers import answered
from seen import digest


class Caller:
    def __init__(self, node):
        self.node = node

    def address(self):
        return self.node.get("service", "strongroom", "-n", SYSTEM)["spec"]["clusterIP"]

    def curl(self, path, *options, user=None):
        """Status and answer, verified with the root that the guide hands out."""
        return answered(lambda command, secret: self.node.ask(*command, stdin=secret), f"https://strongroom.{SYSTEM}.svc{path}", "ca.crt", "--connect-to", f"::{self.address()}:443", *options, user=user)

    def administrator(self):
        return "ops:" + (self.node.work / "ops.password").read_text().strip()

    def service(self, name, **how):
        """Digest of each pair of a Service, as the administrator reads it."""
        status, answer = self.curl(f"/v1/services/{name}", user=self.administrator(), **how)
        check(status == 200, f"REST answers for the Service {name}: {status}")
        return pairs(answer)


def pairs(answer):
    return {key: digest(value) for credential in answer["credentials"] for key, value in credential["credential_pairs"].items()}
