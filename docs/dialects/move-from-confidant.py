#!/usr/bin/env python3
"""Copies what a running Confidant has into Strongroom: credentials, blind credentials, services with what they map.

    pip install confidant-client
    STRONGROOM_USER=ops STRONGROOM_PASSWORD=... ./move-from-confidant.py \\
        --confidant https://confidant.example.com --auth-key alias/confidant-users --as ann --to confidant-production \\
        --region us-east-1 --strongroom https://strongroom.example.com

Reads Confidant as the kmsauth user --as, who must be allowed everything there, and writes as a client credential made
with `strongroom client create NAME --admin`. Run again it writes only what differs; --check writes nothing and says what
does. Names and ids are printed, values never. Ends with 1 if something differs or could not be copied.
"""
import argparse
import os
import sys
import time

import kmsauth
import requests

# What is copied of each; the rest is Confidant's own.
CREDENTIAL = ("name", "credential_pairs", "enabled", "documentation", "metadata", "tags")
BLIND = ("name", "credential_pairs", "credential_keys", "cipher_type", "cipher_version", "data_key", "enabled", "documentation", "metadata")
SORTS = ("credentials", "blind_credentials")
PAGE = 100


class Kmsauth(requests.auth.AuthBase):
    """Tokens are good for ten minutes, of which three are over when they are made."""

    def __init__(self, given):
        context = {"from": given.user, "to": given.to, "user_type": "user"}
        self.generator = kmsauth.KMSTokenGenerator(given.auth_key, context, given.region)
        self.token, self.made = None, 0

    def __call__(self, request):
        if time.monotonic() - self.made > 120 or not self.token:
            self.token, self.made = self.generator.get_token(), time.monotonic()
        return requests.auth.HTTPBasicAuth(self.generator.get_username(), self.token)(request)


class Server:
    def __init__(self, url, auth):
        self.url, self.session = url.rstrip("/") + "/v1/", requests.Session()
        self.session.auth = auth

    def ask(self, method, path, **more):
        # Through a proxy a connection may be gone; every request here can be made twice.
        return self.session.request(method, self.url + path, timeout=30, allow_redirects=False, **more)

    def get(self, path, **query):
        answer = self.ask("GET", path, params=query)
        if answer.status_code != 200:
            sys.exit(f"GET {self.url}{path}: {answer.status_code} {told(answer)}")
        return answer.json()

    def pages(self, sort):
        """All entries of a list, however long it is."""
        page = {}
        while page is not None:
            found = self.get(sort, **({} if sort == "blind_credentials" else {"limit": PAGE, **page}))
            yield from found[sort]
            page = {"page": found["next_page"]} if found.get("next_page") else None


def at(sort, name):
    return f"{sort}/{requests.utils.quote(name, safe='')}"


def told(answer):
    """The error's own words; a page says nothing."""
    try:
        return answer.json().get("error", "")
    except ValueError:
        return answer.reason


class Move:
    def __init__(self, given):
        self.old = Server(given.confidant, Kmsauth(given))
        self.new = Server(given.strongroom, (os.environ["STRONGROOM_USER"], os.environ["STRONGROOM_PASSWORD"]))
        self.only_check, self.ids, self.differing = given.check, {}, 0

    def say(self, what, name, how):
        self.differing += how not in ("same", "copied", "written anew")
        print(f"{what} {name}: {how}", flush=True)

    def records(self, sort, fields):
        """Credentials of one sort. Names are what ties them: ids are made by each server."""
        there = {entry["name"]: entry["id"] for entry in self.new.pages(sort)}
        for listed in self.old.pages(sort):
            entry = self.old.get(f"{sort}/{listed['id']}")
            if not entry["credential_pairs"] and fields is CREDENTIAL:
                self.say(sort[:-1], entry["name"], "its values may not be read")
                continue
            wanted = {field: entry.get(field) for field in fields}
            wanted["metadata"] = wanted["metadata"] or {}
            known = there.get(entry["name"])
            self.ids[entry["id"]] = known
            self.record(sort, wanted, known, entry["id"])

    def record(self, sort, wanted, known, old_id):
        if known:
            found = self.new.get(f"{sort}/{known}")
            if all(found[field] == value for field, value in wanted.items()):
                return self.say(sort[:-1], wanted["name"], "same")
        if self.only_check:
            return self.say(sort[:-1], wanted["name"], "differs" if known else "is missing")
        answer = self.new.ask("PUT", f"{sort}/{known}", json=wanted) if known else self.new.ask("POST", sort, json=wanted)
        if answer.status_code != 200:
            return self.say(sort[:-1], wanted["name"], f"{answer.status_code} {told(answer)}")
        self.ids[old_id] = answer.json()["id"]
        self.say(sort[:-1], wanted["name"], "written anew" if known else "copied")

    def services(self):
        for listed in list(self.old.pages("services")):
            name = listed["id"]
            old = self.old.get(at("services", name), metadata_only="True")
            wanted = {"enabled": old["enabled"], "account": old["account"]}
            for sort in SORTS:
                wanted[sort] = sorted(filter(None, (self.ids.get(entry["id"]) for entry in old[sort])))
            if any(len(old[sort]) != len(wanted[sort]) for sort in SORTS):
                self.say("service", name, "some of what it maps was not copied")
            else:
                self.service(name, wanted)

    def service(self, name, wanted):
        answer = self.new.ask("GET", at("services", name), params={"metadata_only": "True"})
        found = answer.json() if answer.status_code == 200 else None
        if found:
            shown = {**found, **{sort: sorted(entry["id"] for entry in found[sort]) for sort in SORTS}}
            if all(shown[field] == value for field, value in wanted.items()):
                return self.say("service", name, "same")
        if self.only_check:
            return self.say("service", name, "differs" if found else "is missing")
        answer = self.new.ask("PUT", at("services", name), json=wanted)
        if answer.status_code != 200:
            return self.say("service", name, f"{answer.status_code} {told(answer)}")
        self.say("service", name, "written anew" if found else "copied")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, words in (
        ("--confidant", "where it answers"), ("--auth-key", "the KMS key of users' tokens"), ("--to", "its AUTH_CONTEXT"),
        ("--region", "of the key"), ("--strongroom", "where it answers"),
    ):
        arguments.add_argument(name, required=True, help=words)
    arguments.add_argument("--as", dest="user", required=True, help="the user whose tokens are made")
    arguments.add_argument("--check", action="store_true", help="only say what differs")
    move = Move(arguments.parse_args())
    move.records("credentials", CREDENTIAL)
    move.records("blind_credentials", BLIND)
    move.services()
    sys.exit(1 if move.differing else 0)


if __name__ == "__main__":
    main()
