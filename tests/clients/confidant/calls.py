#!/usr/bin/env python3
"""calls.py PLAN: every call of Confidant's official client, unchanged, against the server of the plan.

The plan is a JSON file: url, region, keys of KMS, the names of what is there already. REQUESTS_CA_BUNDLE and
AWS_ENDPOINT_URL say whom to trust and where KMS is.
Prints one line of JSON for each call: its name, the statuses that the server answered, what the client returned, or what
it raised. The client is not changed in any way; the statuses come from the hook that its session of requests has.
"""
import json
import logging
import os
import subprocess
import sys
import tempfile

from confidant_client import ConfidantClient

# The client logs what it does not like; the outcome says it.
logging.disable(logging.CRITICAL)


class Caller:
    """The client of one principal, and the statuses of the answers that it got."""

    def __init__(self, plan, name, user_type):
        context = {"from": name, "to": plan["context"], "user_type": user_type}
        self.settings = {
            "url": plan["url"], "region": plan["region"], "auth_key": plan["keys"][user_type], "auth_context": context,
            "token_cache_file": "",
        }
        self.client = ConfidantClient(config_files=[], **self.settings)
        self.statuses = []
        self.client.request_session.hooks["response"].append(lambda answer, **_: self.statuses.append(answer.status_code))

    def call(self, name, method, /, *given, **named):
        self.statuses.clear()
        outcome = {"call": name}
        try:
            outcome["returned"] = getattr(self.client, method)(*given, **named)
        except Exception as raised:
            outcome["raised"] = type(raised).__name__
        say({**outcome, "statuses": self.statuses})
        return outcome.get("returned") or {}


def say(outcome):
    print(json.dumps(outcome), flush=True)


def reads(service, user, plan):
    service.call("its own service", "get_service", plan["service"], decrypt_blind=True)
    service.call("its own service without values", "get_service", plan["service"], metadata_only=True)
    service.call("somebody else's service", "get_service", plan["other_service"])
    user.call("a service that is not there", "get_service", "nothing")
    user.call("a credential", "get_credential", plan["credential"])
    user.call("a credential without values", "get_credential", plan["credential"], metadata_only=True)
    user.call("a credential that is not there", "get_credential", "0" * 32)
    service.call("a credential, as a service", "get_credential", plan["credential"])
    user.call("services of a credential", "get_credential_services", plan["credential"])


def writes(user, plan):
    credential = plan["credential"]
    user.call("an update with a name", "update_credential", credential, name="renamed", credential_pairs={"user": "u2"})
    user.call("an update without one", "update_credential", credential, documentation="how to rotate it", metadata={"a": "b"})
    user.call("a revert", "revert_credential", credential, 1)
    user.call("a revert to what is there", "revert_credential", credential, 1)
    user.call("a revert to no revision", "revert_credential", credential)


def blind_credentials(service, user, plan):
    keys, contexts = {plan["region"]: plan["keys"]["blind"]}, {plan["region"]: {"to": plan["service"]}}
    made = user.call("a new blind credential", "create_blind_credential", keys, contexts, "blind", {"pin": "1234"})
    blind = made.get("blind_credential", {}).get("id", "0" * 32)
    user.call("a blind credential, opened", "get_blind_credential", blind, decrypt_blind=True)
    user.call("a blind credential that is not there", "get_blind_credential", "0" * 32)
    user.call("an update of it", "update_blind_credential", blind, keys, credential_pairs={"pin": "5678"})
    user.call("an update of its words alone", "update_blind_credential", blind, documentation="ask Ann", enabled=False)
    user.call("all blind credentials", "list_blind_credentials")
    user.call("a revert of it", "revert_blind_credential", blind, 1)
    user.call("credentials for a service", "add_credentials_to_service", [plan["spare"]], [blind], plan["service"])
    service.call("its service with them", "get_service", plan["service"], decrypt_blind=True)
    user.call("fewer credentials for it", "remove_credentials_from_service", [plan["spare"]], [], plan["service"])
    user.call("a revert of the service", "revert_service", plan["service"], 1)


def tokens(user, plan):
    user.call("a token", "get_jwt", plan["environment"], None, None)
    user.call("a token for a time", "get_jwt", plan["environment"], plan["user"], 60)
    user.call("keys of tokens", "get_jwks", plan["environment"])


def certificates(service, plan):
    service.call("all authorities", "list_cas")
    service.call("an authority", "get_ca", plan["ca"])
    service.call("an authority that is not there", "get_ca", "nothing")
    service.call("a certificate", "get_certificate", plan["ca"], plan["common_name"], validity=7)
    service.call("a certificate of another name", "get_certificate", plan["ca"], "other.example.com")
    # The client does not send the request along.
    service.call("a certificate for a request", "get_certificate_from_csr", plan["ca"], "a request")


def commands(service, plan):
    """The same through the commands that come with the library."""
    programs = os.path.dirname(sys.executable)
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        # JSON is YAML.
        json.dump({"default": service.settings}, file)
        file.flush()
        confidant = [os.path.join(programs, "confidant"), "--config-files", file.name, "--log-level", "critical"]
        wanted = ["--service", plan["service"]]
        found = run("confidant get_service", confidant + ["get_service"] + wanted)
        run("confidant env", confidant + ["env"] + wanted + ["--", "sh", "-c", "echo $CREDENTIALS_USER:$AWS_SECRET_ACCESS_KEY"])
        run("confidant get_jwks", confidant + ["get_jwks", "--environment", plan["environment"]])
        run("confidant of another", confidant + ["get_service", "--service", plan["other_service"]])
    run("confidant-format", [os.path.join(programs, "confidant-format"), "--out-format", "env_export"], found)


def run(name, command, given=""):
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30)
    say({"call": name, "status": done.returncode, "said": done.stdout, "complained": done.stderr})
    return done.stdout


def main():
    with open(sys.argv[1]) as file:
        plan = json.load(file)
    service, user = Caller(plan, plan["service"], "service"), Caller(plan, plan["user"], "user")
    reads(service, user, plan)
    writes(user, plan)
    blind_credentials(service, user, plan)
    tokens(user, plan)
    certificates(service, plan)
    commands(service, plan)


if __name__ == "__main__":
    main()
