"""A server for the programs that drive nginx, read its logs, or ask it for numbers; helpers lie beside the shop's tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shop"))

from stack import BINARY, connects, free_port, until  # noqa: E402


class Server:
    """rnginx called as `nginx`, with a folder of its own: `conf` holds what goes into `http`."""

    def __init__(self, folder, conf):
        self.folder, self.port = folder, free_port()
        self.binary = folder / "sbin/nginx"
        self.binary.parent.mkdir()
        self.binary.symlink_to(BINARY)
        (folder / "html").mkdir()
        (folder / "html/index.html").write_text("front page\n")
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "".join(f"{kind}_temp_path {folder}/temp;\n" for kind in ("client_body", "proxy"))
        self.conf = folder / "nginx.conf"
        self.conf.write_text(f"{user} pid {folder}/nginx.pid; error_log {folder}/error.log;\nevents {{}}\n"
                             f"http {{\naccess_log {folder}/access.log combined;\n{temporary}"
                             f"{conf.format(port=self.port, folder=folder)}\n}}\n")
        self.do()
        until(lambda: connects(self.port), "the port")

    def do(self, *arguments):
        """Runs the program on its configuration; exit status and what it said."""
        command = [self.binary, "-p", f"{self.folder}/", "-c", self.conf, "-e", f"{self.folder}/error.log", *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def pid(self):
        return int((self.folder / "nginx.pid").read_text())

    def log(self, name="error.log"):
        file = self.folder / name
        return file.read_text() if file.exists() else ""

    def stop(self):
        if not (self.folder / "nginx.pid").exists():
            return
        os.kill(self.pid(), signal.SIGQUIT)
        until(lambda: not (self.folder / "nginx.pid").exists(), "its end")


@pytest.fixture
def serve(tmp_path):
    """Starts a server on a configuration."""
    started = []

    def start(conf):
        started.append(Server(tmp_path, conf))
        return started[-1]

    yield start
    for server in started:
        server.stop()
