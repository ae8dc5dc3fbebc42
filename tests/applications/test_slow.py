"""Slow clients, endless and stalled backends: nobody else waits, and memory stays flat.

RNGINX_SECONDS says how long each is watched: 6 by default, 60 is the whole truth.
"""

import os
import socket
import statistics
import threading
import time

import pytest
from conftest import Place
from stack import free_port, until
from test_gunicorn_modes import gunicorn

SECONDS = float(os.environ.get("RNGINX_SECONDS") or 6)
RATE = 10_000  # bytes a second
CLIENTS = 20
FLAT = 5 << 20


def http2_client(port, path, stop):
    """Asks for something over HTTP/2, and never has room for more than the first 65535 bytes."""
    fields = b"\x82\x86\x41\x01x\x04" + bytes([len(path)]) + path.encode()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
        client.sendall(bytes([0, 0, len(fields), 1, 5, 0, 0, 0, 1]) + fields)
        client.settimeout(0.1)
        while not stop.wait(0.1):
            try:
                client.recv(65536)
            except TimeoutError:
                pass


def slow_client(port, kind, stop):
    """Sends or takes ten kilobytes a second until told to stop."""
    if kind.startswith("http2 "):
        return http2_client(port, kind.split()[1], stop)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        if kind == "upload":
            client.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        else:
            client.sendall(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % kind.encode())
        while not stop.wait(0.1):
            if kind == "upload":
                client.sendall(b"x" * (RATE // 10))
            elif not client.recv(RATE // 10):
                return


class Slow:
    """Clients of one kind or several, while a block of code runs."""

    def __init__(self, port, kinds):
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=slow_client, args=(port, kind, self.stop)) for kind in kinds]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(1)

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def quick_requests(place, seconds):
    """How long requests take, one after another, in seconds."""
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert place.ask("/quick")[2] == b"quick"
        taken.append(time.monotonic() - began)
        time.sleep(0.02)
    return taken


MOST = 0.05  # seconds that a request may be late


def served(log, path):
    """How often the worker has served a path and was done with it."""
    return sum(line.split()[0] == path for line in log.read_text().splitlines())


def own_delay(place):
    """The most that a quick request took in the server itself, in seconds: all of its time but the worker's."""
    lines = [line.split() for line in (place.folder / "logs/access.log").read_text().splitlines()]
    return max(float(taken) - float(upstream) for path, taken, upstream in lines if path == "/quick")


@pytest.mark.parametrize(
    "kinds",
    [["upload"], ["download?8388608"], ["http2 /download?8388608"], ["upload", "download?8388608"]],
)
def test_slow_clients_hold_no_worker(kinds):
    place = Place()
    try:
        log = place.folder / "worker.log"
        port = gunicorn(place, "sync", "--access-logfile", str(log), "--access-logformat", "%(U)s %(D)s")
        place.serve(f"""
            log_format times '$uri $request_time $upstream_response_time';
            ---
            access_log logs/access.log times;
            http2 on; client_max_body_size 0; location / {{ proxy_pass http://127.0.0.1:{port}; }}
        """)
        usual = statistics.median(quick_requests(place, 1))
        clients = (kinds * CLIENTS)[:CLIENTS]
        with Slow(place.port, clients):
            # The worker makes what is downloaded, once, and is free again while the clients have nearly nothing of it.
            downloads = sum("download" in kind for kind in clients)
            until(lambda: served(log, "/download") == downloads, "the worker is done with all downloads")
            (place.folder / "logs/access.log").write_text("")
            # The machine may hold a request up as well, but not time after time.
            watches = (max(quick_requests(place, SECONDS / 3)) - usual for _ in range(5))
            assert any(worst < MOST for worst in watches), "in each of five watches a request was late"
            assert served(log, "/upload") == 0, "no upload is passed on before it is there"
        assert own_delay(place) < 10 * MOST
    finally:
        place.stop()


class Backend:
    """Answers with a head and then a body without end, or with a hundred bytes of many and then nothing."""

    def __init__(self, endless):
        self.endless, self.gone = endless, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 100)
            try:
                while self.endless:
                    connection.sendall(b"x" * 65536)
                connection.recv(1)
            except OSError:
                pass
        self.gone += 1


def resident(place):
    """Bytes of memory of all processes of the server."""
    master = int((place.folder / "pid").read_text())
    children = open(f"/proc/{master}/task/{master}/children").read().split()
    pages = [int(open(f"/proc/{pid}/statm").read().split()[1]) for pid in [str(master), *children]]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(params=["endless", "stalled"])
def backed(request):
    place, backend = Place(), Backend(request.param == "endless")
    place.kind, place.backend = request.param, backend
    place.serve(f"""
        proxy_max_temp_file_size 8m;
        proxy_read_timeout 3s;
        location / {{ proxy_pass http://127.0.0.1:{backend.port}; }}
        location /unbuffered {{ proxy_pass http://127.0.0.1:{backend.port}; proxy_buffering off; }}
        location /quick {{ return 200 quick; }}
    """)
    yield place
    place.stop()
    backend.listener.close()


def test_memory_stays_flat(backed):
    kinds = ["some", "unbuffered"] * (CLIENTS // 2)
    with Slow(backed.port, kinds):
        pass
    with Slow(backed.port, kinds):
        time.sleep(SECONDS / 4)
        before, most = resident(backed), 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            most = max(most, resident(backed) - before)
            assert backed.ask("/quick")[2] == b"quick"
            time.sleep(0.1)
    assert most < FLAT
    # Who leaves an endless answer takes the backend's connection along; who waits for a stalled one sees its end.
    until(lambda: backed.backend.gone == 2 * len(kinds), "connections to the backend ended")
    timed_out = backed.errors().count("upstream timed out (110: Connection timed out) while reading upstream")
    assert timed_out == (2 * len(kinds) if backed.kind == "stalled" else 0)


def test_a_stalled_backend_ends_at_its_timeout(backed):
    if backed.kind != "stalled":
        pytest.skip("the stalled one's")
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", backed.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while client.recv(65536):
            pass
    assert 2.9 < time.monotonic() - began < 15, "not the 60 s of the default"
