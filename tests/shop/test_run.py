"""examples/my_shop/run, the README's one command, as a person meets it: on a terminal, then again through a pipe."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest
from stack import BINARY, SHOP, connects, free_port, needs_frame
from visitor import Visitor

pytestmark = pytest.mark.skipif(needs_frame(), reason="an nginx does not take the bare fragment")

# The first run installs packages; the second has nothing to do.
FIRST, AGAIN = 300, 90


def start(port, output):
    environment = {**os.environ, "PORT": str(port), "RNGINX_BIN": str(BINARY)}
    for name in ("MY_SHOP_DATA", "DATABASE_URL"):
        environment.pop(name, None)
    return subprocess.Popen(
        [SHOP / "run"], env=environment, stdin=output, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )


def read_until(source, words, seconds):
    """What comes out of a descriptor up to some words."""
    seen, deadline = b"", time.monotonic() + seconds
    while words not in seen.decode(errors="ignore"):
        ready, _, _ = select.select([source], [], [], deadline - time.monotonic())
        assert ready, f"silent after: {seen.decode()}"
        piece = os.read(source, 4096)
        assert piece, f"ended after: {seen.decode()}"
        seen += piece
    return seen.decode()


def members(group):
    """The processes of a process group that still run."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if line.split()[0] == str(group) and not line.split()[1].startswith("Z")]


def visit(port, shown):
    assert f"http://localhost:{port}/" in shown
    visitor = Visitor(port)
    assert "Nón lá Huế" in visitor.get("/").text
    assert visitor.get("/static/home/shop.css").status == 200
    assert visitor.get("/media/products/nón-lá-huế.jpg").status == 200
    visitor.log_in(re.search(r"admin / (\S+)", shown)[1])


def test_on_a_terminal_until_ctrl_c():
    port = free_port()
    ours, theirs = pty.openpty()
    demo = start(port, theirs)
    os.close(theirs)
    try:
        shown = read_until(ours, "Ctrl-C stops both.", FIRST)
        assert "✓ installing Django, Gunicorn and Pillow" in shown
        visit(port, shown)
        assert len(members(demo.pid)) > 3
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(20) == 0
    finally:
        demo.kill()
    assert not connects(port) and members(demo.pid) == []


def test_through_a_pipe_until_terminated():
    port = free_port()
    ours, theirs = os.pipe()
    demo = start(port, theirs)
    os.close(theirs)
    try:
        shown = read_until(ours, "Ctrl-C stops both.", AGAIN)
        assert "✓" not in shown and "…" not in shown
        visit(port, shown)
        demo.terminate()
        assert demo.wait(20) == 0
    finally:
        demo.kill()
    assert not connects(port) and members(demo.pid) == []


def test_taken_port_is_said(founding):
    done = subprocess.run(
        [SHOP / "run"], env={**os.environ, "PORT": str(founding.port), "RNGINX_BIN": str(BINARY)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"my_shop: port {founding.port}: Address already in use. Choose another one: PORT=8080 examples/my_shop/run\n"
    )
