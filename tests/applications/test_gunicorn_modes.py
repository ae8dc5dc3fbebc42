"""Gunicorn in all its modes: sync, threads and ASGI with WebSocket, over HTTP/1.0 and kept connections."""

import json
import os
import sys
import time
import zlib

import pytest
from conftest import Place
from stack import free_port

WORKERS = {
    "sync": ("sync", "wsgi"),
    "threads": ("gthread", "wsgi"),
    "asgi": ("uvicorn_worker.UvicornWorker", "asgi"),
}


def gunicorn(place, mode, *options):
    """Starts one with one worker; its port."""
    worker, name = WORKERS[mode]
    if mode == "asgi":
        pytest.importorskip("uvicorn_worker")
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "-w", "1", "-k", worker, "-b", f"127.0.0.1:{port}", "--timeout", "120", "--no-control-socket",
        "--chdir", os.path.dirname(__file__), *options, f"gunicorn_app:{name}",
    ]
    place.start(command, port)
    return port


@pytest.fixture(scope="module", params=WORKERS)
def served(request):
    place = Place()
    options = ("--threads", "4") if request.param == "threads" else ()
    port = gunicorn(place, request.param, *options)
    place.serve(f"""
        upstream kept {{ server 127.0.0.1:{port}; keepalive 4; }}
        ---
        client_max_body_size 0;
        location / {{ proxy_pass http://127.0.0.1:{port}; }}
        location /kept/ {{
            proxy_pass http://kept/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location /live/ {{
            proxy_pass http://kept/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    """)
    place.mode = request.param
    yield place
    place.stop()


def told(place, path):
    status, _, body = place.ask(path)
    assert status == 200
    return json.loads(body)


def test_versions_and_kept_connections(served):
    if served.mode == "asgi":
        assert told(served, "/told")["http"] == "1.0"
        first, second = told(served, "/kept/told"), told(served, "/kept/told")
        assert first["http"] == "1.1"
        assert first["port"] == second["port"]
        return
    once = told(served, "/told?a=1")
    assert (once["SERVER_PROTOCOL"], once["HTTP_CONNECTION"], once["QUERY_STRING"]) == ("HTTP/1.0", "close", "a=1")
    first, second = told(served, "/kept/told"), told(served, "/kept/told")
    assert (first["SERVER_PROTOCOL"], first["HTTP_CONNECTION"]) == ("HTTP/1.1", None)
    # A sync worker closes every connection; threads keep them.
    assert (first["REMOTE_PORT"] == second["REMOTE_PORT"]) == (served.mode == "threads")


@pytest.mark.parametrize("path", ["/upload", "/kept/upload"])
def test_bodies_arrive_whole(served, path):
    for size in (0, 1, 20_000, 3_000_000):
        body = os.urandom(size)
        status, _, answer = served.ask(path, body=body)
        assert (status, answer) == (200, b"%d %d" % (size, zlib.crc32(body)))


def test_answers_in_pieces_arrive_whole(served):
    if served.mode == "asgi":
        pytest.skip("the WSGI application's")
    for path in ("/pieces", "/kept/pieces"):
        assert served.ask(path)[2] == b"".join(b"piece %d\n" % number for number in range(1000))


def test_a_failing_application_cuts_its_answer(served):
    if served.mode == "asgi":
        pytest.skip("the WSGI application's")
    with pytest.raises(Exception, match="IncompleteRead|closed"):
        served.ask("/kept/broken")
    assert served.ask("/kept/quick")[2] == b"quick"


def test_ticks_arrive_as_they_come(served):
    if served.mode != "asgi":
        pytest.skip("the ASGI application's")
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/kept/ticks")
    answer = connection.getresponse()
    moments = []
    for number in range(5):
        assert answer.readline() == b"tick %d\n" % number
        moments.append(time.monotonic())
    assert moments[4] - moments[0] > 0.5


def test_websocket(served):
    if served.mode != "asgi":
        pytest.skip("WebSocket is ASGI's")
    websocket = pytest.importorskip("websocket")
    client = websocket.create_connection(f"ws://127.0.0.1:{served.port}/live/", subprotocols=["chat"], timeout=20)
    assert client.getsubprotocol() == "chat"
    for message in ("hello", "trà sen", "x" * 200_000):
        client.send(message)
        assert client.recv() == message
    client.send_binary(os.urandom(0) + b"\x00\xff")
    assert client.recv() == b"\x00\xff"
    client.send("end")
    opcode, frame = client.recv_data()
    assert (opcode, frame[:2]) == (websocket.ABNF.OPCODE_CLOSE, (4000).to_bytes(2, "big"))
    client.close()
