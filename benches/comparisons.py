"""What is compared, in the order in which it is: each adds its rows and leaves both servers running."""
import concurrent.futures
import math
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
from statistics import median

import load
from servers import Strongroom, folder_size
from stage import NotSeen


def reads(bench):
    """authenticated reads of one credential by its id in Confidant's API, 16 connections that stay open, closed loop"""
    rate = bench.row("Reads a second, 16 connections", "1/s", times=8)
    cpu = bench.row("… processor time of the server for each", "µs", False, times=10, at_most=30)
    tail = bench.row("… 99 of 100 are answered within, under this full load", "µs", False)

    def add(ours, theirs):
        rate.add(ours["rate"], theirs["rate"])
        cpu.add(ours["cpu"], theirs["cpu"])
        tail.add(ours["p99"], theirs["p99"])

    bench.each_round(add, lambda server: load.measured(server, server.read(), connections=16, seconds=bench.seconds(4), warm_up=1))


def services(bench):
    """a service of Confidant's API with 20 credentials, beside one secret with the same 20 values, 16 connections"""
    rate = bench.row("Reads of a Confidant service with 20 credentials a second", "1/s")
    cpu = bench.row("… processor time of the server for each", "µs", False, at_most=50)
    requests = {server: server.bundle(20) for server in (bench.ours, bench.theirs)}

    def add(ours, theirs):
        rate.add(ours["rate"], theirs["rate"])
        cpu.add(ours["cpu"], theirs["cpu"])

    bench.each_round(add, lambda server: load.measured(server, requests[server], connections=16, seconds=bench.seconds(4), warm_up=1))


def latency(bench):
    """reads that become due 1,000 times a second, whatever the server does: 32 connections, open loop"""
    half = bench.row("Reads at 1,000/s: half are answered within", "µs", False)
    tail = bench.row("… 99 of 100 within", "µs", False, times=10, at_most=3000)

    def add(ours, theirs):
        half.add(ours["p50"], theirs["p50"])
        tail.add(ours["p99"], theirs["p99"])

    bench.each_round(add, lambda server: load.measured(server, server.read(), connections=32, seconds=bench.seconds(5), rate=1000))


def handshakes(bench):
    """reads on a TLS connection of their own, with a full handshake and with a resumed one, 8 at a time"""
    for kind, words, times in (("fresh", "full handshakes", 4), ("resumed", "resumed sessions", None)):
        rate = bench.row(f"Reads on new connections, {words}", "1/s")
        cpu = bench.row("… processor time of the server for each", "µs", False, times=times)
        hits = []

        def add(ours, theirs):
            rate.add(ours["rate"], theirs["rate"])
            cpu.add(ours["cpu"], theirs["cpu"])
            # What a connection before the counted time resumed counts too; more than all of them is all of them.
            hits.append([min(1.0, report["resumed"] / report["requests"]) for report in (ours, theirs)])

        bench.each_round(add, lambda server: load.measured(server, server.read(), connections=8, seconds=bench.seconds(2), connection=kind))
        if kind == "resumed":
            ours, theirs = (min(column) for column in zip(*hits))
            bench.note(f"Sessions that were resumed when the client offered one: at least {ours:.0%} with Strongroom, {theirs:.0%} with OpenBao.")


def restart(bench):
    """SIGKILL, started again at once, until a read of a credential is answered"""
    row = bench.row(f"SIGKILL to the first read, {bench.credentials:,} credentials", "ms", False, times=8, at_most=60)
    bench.each_round(row.add, back_again)


def back_again(server):
    """Milliseconds. The caller tries from the start on, with a new connection each time."""
    started = time.monotonic()
    server.kill()
    server.spawn()
    waiter = load.waiter(server, server.read())
    answered = waiter.stdout.readline()
    took = time.monotonic() - started
    waiter.wait()
    if not answered:
        raise NotSeen(f"{server.name} answers again after SIGKILL")
    server.until_answering()
    return 1000 * took


def idle(bench):
    """memory and processor time of a server that was started, answered one read and has nothing to do"""
    memory = bench.row(f"Idle with {bench.credentials:,} credentials: resident", "MiB", False, at_most=18)
    cpu = bench.row("… of one core", "%", False, at_most=0.1)
    servers = (bench.ours, bench.theirs)
    for server in servers:
        server.stop()
        server.start()
        load.run(server, server.read(), connections=1, seconds=60, warm_up=0, count=1)
    seconds = bench.seconds(15)
    time.sleep(bench.seconds(5))
    before = [server.cpu() for server in servers]
    time.sleep(seconds)
    memory.add(*(server.resident() for server in servers))
    cpu.add(*(100 * (server.cpu() - start) / seconds for server, start in zip(servers, before)))


def writes(bench):
    """new credentials of 200 bytes, each on the disk before it is acknowledged"""
    for connections, times in ((1, 3), (64, 12)):
        plural = "connection" if connections == 1 else "connections"
        rate = bench.row(f"Durable writes a second, {connections} {plural}", "1/s", times=times)
        cpu = bench.row("… processor time of the server for each", "µs", False)

        def add(ours, theirs):
            rate.add(ours["rate"], theirs["rate"])
            cpu.add(ours["cpu"], theirs["cpu"])

        def measure(server):
            return load.measured(server, server.create(), connections=connections, seconds=bench.seconds(4), first_number=server.numbers())

        bench.each_round(add, measure)


def syncs(bench):
    """how often each asks the kernel to put a write on the disk, counted with strace"""
    if not shutil.which("strace"):
        return bench.note("That writes are durable was not counted: strace is missing (apt-get install strace).")
    for connections, at_most, count in ((1, 1.1, 300), (64, 0.1, 6400)):
        row = bench.row(f"Calls of fsync and fdatasync for each write, {connections} at once", "", False, at_most=at_most)
        row.add(*(counted(server, connections, count) for server in (bench.ours, bench.theirs)))


def counted(server, connections, count):
    result = server.work / "strace"
    command = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", result, "-p", str(server.process.pid)]
    with open(server.work / "strace.log", "w") as log:
        tracer = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        time.sleep(1)
        load.run(server, server.create(), connections=connections, seconds=60, warm_up=0, count=count, first_number=server.numbers())
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
    lines = [line.split() for line in result.read_text().splitlines()]
    calls = sum(int(line[3]) for line in lines if re.fullmatch("f(data)?sync", line[-1] if line else ""))
    return calls / count


def signing(bench):
    """certificates by a P-256 authority for a caller's P-256 key, 8 connections; neither keeps them"""
    rate = bench.row("Certificates signed by a P-256 authority for a caller's P-256 key a second, 8 connections", "1/s", times=6)
    cpu = bench.row("… processor time of the server for each", "µs", False)
    requests = {server: server.sign() for server in (bench.ours, bench.theirs)}

    def add(ours, theirs):
        rate.add(ours["rate"], theirs["rate"])
        cpu.add(ours["cpu"], theirs["cpu"])

    bench.each_round(add, lambda server: load.measured(server, requests[server], connections=8, seconds=bench.seconds(3)))


NAMED = (
    ("get", "Reads by name over CredHub's API a second, 16 connections", 16),
    ("set", "Values set over CredHub's API a second, 64 connections", 64),
    ("password", "Passwords generated over CredHub's API and kept a second, 64 connections", 64),
    ("certificate", "Certificates generated over CredHub's API with RSA keys and kept a second, 8 connections", 8),
)


def credhub(bench):
    """CredHub's API: names are read, set and generated, beside what OpenBao has for it"""
    requests = {server: server.named(1_000) for server in (bench.ours, bench.theirs)}
    for what, words, connections in NAMED:
        rate = bench.row(words, "1/s")
        cpu = bench.row("… processor time of the server for each", "µs", False)

        def add(ours, theirs):
            rate.add(ours["rate"], theirs["rate"])
            cpu.add(ours["cpu"], theirs["cpu"])

        bench.each_round(add, lambda server: load.measured(server, requests[server][what], connections=connections, seconds=bench.seconds(3), first_number=server.numbers()))
    bench.note("OpenBao makes a password without keeping it, and keeps a certificate without its key; Strongroom keeps both. Most of a certificate's time is its RSA key.")
    beside_keys(bench, requests[bench.ours])


def beside_keys(bench, requests):
    """Reads at 1,000 a second, and the same while 64 callers wait for RSA keys of 4096 bits."""
    row = bench.row("Reads at 1,000/s while 64 RSA-4096 keys are waited for: 99 of 100 within, as often as without", "×", False, at_most=2)
    read = lambda: load.run(bench.ours, requests["get"], connections=32, seconds=bench.seconds(5), rate=1000)["p99"]
    for _ in range(bench.rounds):
        quiet = read()
        with concurrent.futures.ThreadPoolExecutor(64) as callers:
            waiting = [callers.submit(wait_for_key, bench.ours) for _ in range(64)]
            time.sleep(2)
            row.add(read() / quiet)
            still = sum(not caller.done() for caller in waiting)
            if still < 32:
                raise NotSeen(f"keys are waited for while others read: {still} of 64 callers still did at the end")


def wait_for_key(server):
    """One key. Who is last in the queue is told to come back before it is made."""
    try:
        server.call("POST", "/api/v1/data", {"name": f"/rsa/{threading.get_ident()}", "type": "rsa", "mode": "overwrite", "parameters": {"key_length": 4096}})
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
    except TimeoutError:
        """It waited for as long as that."""


def growth(bench):
    """one read after the other from stores of different sizes, all of them running, round after round"""
    largest = 4 if bench.quick else 6 if bench.million else 5
    names = {10 ** power: filled(bench, 10 ** power) for power in range(2, largest + 1)}
    slope(bench, "Growth of read latency with names", {number: (server, server.read()) for number, server in names.items()}, 0.10)
    slope(bench, "Growth of the time to find 20 names among", {number: (server, server.folder()) for number, server in names.items()}, 0.10)
    slope(bench, "Growth of the time to find 20 names by a part of them among", {number: (server, server.part()) for number, server in names.items()}, 0.10)
    last = names.pop(10 ** largest)
    for server in names.values():
        server.stop()
    row = bench.row(f"SIGKILL to the first read, {10 ** largest:,} credentials", "ms", False, at_most=150)
    for _ in range(bench.rounds):
        row.add(back_again(last))
    versions = {number: (last, last.read(revised(last, number))) for number in (1, 10, 100, 1000, 10_000)[:4 if bench.quick else 5]}
    slope(bench, "Growth of read latency with versions of one name", versions, 0.05)
    last.stop()


def filled(bench, number):
    server = Strongroom(bench.work, f"names-{number}")
    server.start()
    server.seed(number)
    return server


def revised(server, number):
    """The file with the key of a new credential that has this many revisions."""
    keys = server.work / f"versions-{number}"
    load.run(server, server.create(), connections=1, seconds=60, warm_up=0, count=1, first_number=server.numbers(), capture="id", capture_into=str(keys))
    if number > 1:
        load.run(server, server.revise(keys), connections=1, seconds=600, warm_up=0, count=number - 1, first_number=server.numbers())
    return keys


def slope(bench, what, stores, at_most):
    times = {number: [] for number in stores}
    for _ in range(bench.rounds):
        for number, (server, request) in stores.items():
            times[number].append(load.measured(server, request, connections=1, seconds=bench.seconds(1.5), warm_up=0.3)["p50"])
    steps = ", ".join(f"{number:,}: {median(found):.0f}" for number, found in times.items())
    row = bench.row(f"{what}, {min(stores):,} to {max(stores):,}: log-log slope", "", False, at_most=at_most)
    for found in zip(*times.values()):
        row.add(fitted([math.log(number) for number in times], [math.log(time) for time in found]))
    bench.note(f"{what}, µs for half of the requests: {steps}.")


def fitted(x, y):
    """Least squares."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


def disk(bench):
    """what 200 bytes cost on the disk, and one request in the audit log"""
    revision = bench.row("On the disk for each revision of a 200-byte value, with its audit record", "bytes", False, at_most=1300)
    audit = bench.row("In the audit log for each read", "bytes", False, at_most=500)
    count = 2_000 if bench.quick else 20_000
    found = [costs(server, count) for server in (bench.ours, bench.theirs)]
    revision.add(*(stored for stored, _ in found))
    (_, ours), (_, theirs) = found
    audit.theirs.append(theirs)
    if ours:
        audit.ours.append(ours)
    else:
        bench.note("Strongroom wrote no audit records of reads into its folder for them: they went to its log.")


def costs(server, count):
    """Measured while stopped, so that nothing is counted that only waits to be tidied up."""
    server.keep_versions(100_000)
    keys = server.work / "few"
    keys.write_text("".join(server.keys.read_text().splitlines(keepends=True)[:64]))
    sizes = []
    for request, number in ((server.revise(keys), count), (server.read(), 2_000)):
        before = settled(server)
        server.start()
        load.run(server, request, connections=64, seconds=600, warm_up=0, count=number, first_number=server.numbers())
        after = settled(server)
        sizes.append([(b - a) / number for a, b in zip(before, after)])
    server.start()
    (stored, noted_writes), (_, noted_reads) = sizes
    # Strongroom keeps the audit records of writes in the store, and its folder for the others below it.
    return stored + (0 if server.audit.is_relative_to(server.data) else noted_writes), noted_reads


def settled(server):
    server.stop()
    return folder_size(server.data), folder_size(server.audit) if server.audit.exists() else 0


COMPARISONS = {each.__name__: each for each in (reads, services, latency, handshakes, restart, idle, syncs, writes, signing, credhub, disk, growth)}
