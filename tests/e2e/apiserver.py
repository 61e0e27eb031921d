"""The API server over HTTP with the administrator's certificate: for what kubectl would need a process each."""
import http.client
import json
import ssl
import threading
import time

from place import NotSeen


class ApiServer:
    def __init__(self, node):
        pki = node.state / "pki"
        self.context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.context.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
        self.held = threading.local()

    def ask(self, method, path, body=None):
        """Status and answer. A connection is each thread's own, and a new one after a while: the server closes idle ones."""
        connection, used = getattr(self.held, "connection", (None, 0.0))
        if connection is None or time.monotonic() - used > 20:
            connection = http.client.HTTPSConnection("10.99.0.1", 6443, context=self.context, timeout=30)
        self.held.connection = connection, time.monotonic()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException):
            self.held.connection = None, 0.0
            raise

    def items(self, path):
        status, answer = self.ask("GET", path)
        if status != 200:
            raise NotSeen(f"GET {path}: {status} {answer.get('message')}")
        return answer["items"]


def together(work, parts, threads=8):
    """Does `work` to each of `parts`, several at a time; what each returned, in order. The first failure ends it."""
    results, failures, lock, left = [None] * len(parts), [], threading.Lock(), list(enumerate(parts))[::-1]

    def some():
        while not failures:
            with lock:
                if not left:
                    return
                at, part = left.pop()
            try:
                results[at] = work(part)
            except BaseException as error:      # noqa: BLE001: told by who waits
                failures.append(error)

    crew = [threading.Thread(target=some, daemon=True) for _ in range(threads)]
    for each in crew:
        each.start()
    for each in crew:
        while each.is_alive():
            each.join(0.2)
    if failures:
        raise failures[0]
    return results
