"""Requests to REST while something happens: each is sent again if its connection was closed, and counts as failed if it
is not answered with 200 then."""
import base64
import http.client
import ssl
import threading
import time

HOST = "strongroom.strongroom-system.svc"


class Load:
    def __init__(self, address, user, path, authority, threads=4):
        self.address, self.path = address, path
        self.headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode(), "Host": HOST}
        # To the address and no name: there is no DNS here. The chain is verified all the same.
        self.context = ssl.create_default_context(cafile=str(authority))
        self.context.check_hostname = False
        self.done, self.retried, self.failures, self.slowest = 0, 0, [], 0.0
        self.end, self.lock = threading.Event(), threading.Lock()
        self.crew = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for each in self.crew:
            each.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for each in self.crew:
            each.join(20)

    def work(self):
        connection = None
        while not self.end.is_set():
            begun = time.monotonic()
            connection, failure, retried = self.request(connection)
            with self.lock:
                self.done += 1
                self.retried += retried
                self.slowest = max(self.slowest, time.monotonic() - begun)
                if failure:
                    self.failures.append(failure)
            time.sleep(0.02)

    def request(self, connection):
        """Only a connection that was open before may have been closed on us: a new one has to work."""
        for retried in (0, 1):
            is_new = connection is None
            try:
                connection = connection or http.client.HTTPSConnection(self.address, 443, context=self.context, timeout=10)
                connection.request("GET", self.path, headers=self.headers)
                answer = connection.getresponse()
                answer.read()
                if answer.getheader("Connection", "").lower() == "close":
                    connection.close()
                    connection = None
                return connection, None if answer.status == 200 else f"status {answer.status}", retried
            except (OSError, http.client.HTTPException) as error:
                if connection:
                    connection.close()
                connection = None
                if is_new:
                    return None, f"{type(error).__name__}: {error}", retried
        raise AssertionError("the second attempt has a new connection")
