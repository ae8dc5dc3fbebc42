"""A Gunicorn whose one worker dies at the wrong moment, or must not be kept waiting by slow clients."""

import os
import re
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from faulty import LARGE
from stack import until

SLOW = 20


@pytest.fixture(scope="module", autouse=True)
def gunicorn(place):
    process = place.start(
        [sys.executable, "-m", "gunicorn", "--bind", f"unix:{place.folder}/gunicorn.sock", "--workers", "1",
         "--no-control-socket", "--chdir", str(Path(__file__).parent), "faulty:application"],
        place.folder / "gunicorn.sock", env={**os.environ, "FAULTY_FOLDER": str(place.folder)},
    )
    place.serve(f"""
        client_max_body_size 10m;
        location / {{ proxy_pass http://unix:{place.folder}/gunicorn.sock; proxy_set_header Host $host; }}
    """)
    assert place.ask("/")[2] == b"/ 0\n"
    return process.child.pid


def worker(gunicorn):
    children = Path(f"/proc/{gunicorn}/task/{gunicorn}/children").read_text().split()
    return int(children[0]) if children else None


def quick(place):
    """How long another request takes, in seconds."""
    began = time.monotonic()
    assert place.ask("/quick")[2] == b"/quick 0\n"
    return time.monotonic() - began


def send(place, request):
    client = socket.create_connection(("127.0.0.1", place.port), timeout=30)
    client.sendall(request)
    return client


def rest(client):
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_worker_killed_before_its_answer_is_502(place, gunicorn):
    victim = worker(gunicorn)
    with send(place, b"GET /late HTTP/1.0\r\nHost: a\r\n\r\n") as client:
        until(lambda: (place.folder / "late").exists(), "the request in the worker")
        os.kill(victim, signal.SIGKILL)
        assert rest(client).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    sentence = r"\[error\] .* upstream prematurely closed connection while reading response header from upstream, client: 127"
    assert re.search(sentence, place.errors())
    until(lambda: worker(gunicorn) not in (None, victim), "another worker")
    assert place.ask("/again")[2] == b"/again 0\n"


def test_a_worker_killed_in_its_answer_cuts_it_off(place, gunicorn):
    victim = worker(gunicorn)
    with send(place, b"GET /half HTTP/1.0\r\nHost: a\r\n\r\n") as client:
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"Content-Length: %d\r\n" % (2 * LARGE) in answer
        while len(answer) < LARGE - 65536:
            answer += client.recv(65536)
        os.kill(victim, signal.SIGKILL)
        answer += rest(client)
    assert len(answer.partition(b"\r\n\r\n")[2]) == LARGE, "what came came, and no more"
    sentence = r"\[error\] .* upstream prematurely closed connection while reading upstream, client: 127"
    until(lambda: re.search(sentence, place.errors()), "the line")
    until(lambda: worker(gunicorn) not in (None, victim), "another worker")
    assert place.ask("/again")[0] == 200


def test_slow_clients_never_hold_the_one_worker(place):
    """Uploads come in whole before it hears of them, and answers go out whole whatever their clients take."""
    upload = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
    with ExitStack() as clients:
        slow = [clients.enter_context(send(place, upload + b"x" * 100_000)) for _ in range(SLOW)]
        for _ in range(SLOW):
            clients.enter_context(send(place, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"))
        until(lambda: place.ask("/quick")[0] == 200, "its turn")
        took = min(quick(place) for _ in range(5))
        print(f"another request took {took * 1000:.1f} ms")
        assert took < 0.05
        for client in slow:
            client.sendall(b"x" * 100_000)
        for client in slow:
            answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"/upload 200000\n")
    status, _, body = place.ask("/large")
    assert (status, len(body)) == (200, LARGE)
