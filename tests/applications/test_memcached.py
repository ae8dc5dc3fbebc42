"""Values of a real memcached, written over its own protocol."""

import gzip
import shutil
import socket

import pytest
from stack import free_port


@pytest.fixture(scope="module", autouse=True)
def memcached(place):
    program = shutil.which("memcached")
    if not program:
        pytest.skip("memcached is not here: tests/run installs it")
    port = free_port()
    place.start([program, "-l", "127.0.0.1", "-p", str(port), "-u", "root", "-I", "8m"], port)
    place.serve(f"""
        upstream cache {{ server 127.0.0.1:{port}; keepalive 4; }}
        types {{ text/html html; }}
        default_type text/plain;
        ---
        location / {{
            set $memcached_key "$uri?$args";
            memcached_pass cache;
            memcached_gzip_flag 2;
            gunzip on;
            error_page 404 = @made;
        }}
        location @made {{ return 200 "made for $uri\\n"; }}
    """)
    return port


def store(port, key, value, flags=0):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"set {key} {flags} 0 {len(value)}\r\n".encode() + value + b"\r\n")
        assert client.recv(100) == b"STORED\r\n"


def test_values_are_answers(place, memcached):
    store(memcached, "/page.html?a=b", b"<p>kept</p>")
    for _ in range(3):
        status, headers, body = place.ask("/page.html?a=b")
        assert (status, headers["Content-Type"], body) == (200, "text/html", b"<p>kept</p>")
    assert place.ask("/other")[2] == b"made for /other\n"


def test_large_and_odd_values(place, memcached):
    large = bytes(range(256)) * 16000
    store(memcached, "/large?", large)
    store(memcached, "/a%20b?", b"END\r\n")
    store(memcached, "/empty?", b"")
    assert place.ask("/large")[2] == large
    assert place.ask("/a%20b")[2] == b"END\r\n"
    assert place.ask("/empty")[2] == b""


def test_packed_values_are_unpacked_for_those_who_need_it(place, memcached):
    store(memcached, "/packed?", gzip.compress(b"text " * 1000), flags=2)
    assert place.ask("/packed")[2] == b"text " * 1000
    status, headers, body = place.ask("/packed", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip" and gzip.decompress(body) == b"text " * 1000
