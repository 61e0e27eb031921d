"""A caller outside the cluster, and what it was answered, without the values."""
import base64
import hashlib
import json
import subprocess

from answers import answered
from stage import shown

HIDDEN = "***"


def decoded(secret):
    return {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}


def digest(pairs):
    """What is compared, so that a failure cannot print a value."""
    return hashlib.sha256(json.dumps(pairs, sort_keys=True).encode()).hexdigest()


def masked(answer):
    if isinstance(answer, dict):
        return {key: {name: HIDDEN for name in value} if key == "credential_pairs" and isinstance(value, dict) else masked(value) for key, value in answer.items()}
    return [masked(item) for item in answer] if isinstance(answer, list) else answer


class Caller:
    def __init__(self, strongroom, work):
        self.url, self.work = strongroom.url, work
        self.authority = strongroom.data / "ca.crt"

    def curl(self, path, *options, user=None, body=None):
        return answered(lambda command, secret: subprocess.run(command, input=secret, capture_output=True, text=True), self.url + path, self.authority, *options, user=user, body=body)

    def line(self, path, how):
        return f"curl --cacert {shown(self.authority)} {how} {self.url}{path}"

    def certificate(self, pairs, name):
        """Certificate and key from the client's Secret, as files for curl."""
        made = {}
        for key in ("tls.crt", "tls.key"):
            path = self.work / f"{name}.{key.split('.')[1]}"
            path.touch(mode=0o600)
            path.write_text(pairs[key])
            made[key] = path
        return made["tls.crt"], made["tls.key"]
