"""The founding deployment on free ports: Gunicorn with Django behind, the web server under test in front.

RNGINX_BIN names the server's binary. It may also be nginx's, which needs `events` and `http` around a site.
"""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "examples/my_shop"
BINARY = Path(os.environ.get("RNGINX_BIN") or ROOT / "target/debug/rnginx").resolve()
PASSWORD = "trà sen 7 lần"
PATIENCE = 40  # seconds until something that should happen counts as not happening

NGINX_AROUND = """events {{}}
http {{
    types {{ text/html html; text/css css; image/svg+xml svg; image/jpeg jpg; image/png png; text/plain txt; application/javascript js; }}
{site}
}}
"""


def until(happens, what):
    """Waits for a condition, by asking it again and again; its first true value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := happens():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def connects(address):
    """Whether something takes connections at a UNIX socket's path or a loopback port."""
    unix = isinstance(address, Path)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as client:
        return client.connect_ex(str(address) if unix else ("127.0.0.1", address)) == 0


def needs_frame():
    """Whether the binary is an nginx, which takes whole configurations only."""
    shown = subprocess.run([BINARY, "-V"], capture_output=True, text=True)
    return "rnginx/" not in shown.stderr + shown.stdout


class Data:
    """A folder with the shop's database, media and static files, and Django's commands on it."""

    def __init__(self, folder: Path, database_url=None):
        self.folder = folder
        self.environment = {
            **os.environ,
            "MY_SHOP_DATA": str(folder),
            "DEMO_ADMIN_PASSWORD": PASSWORD,
            "PYTHONPYCACHEPREFIX": str(ROOT / "target/pycache"),
            "DATABASE_URL": database_url or "",
        }

    def manage(self, *arguments):
        done = subprocess.run(
            [sys.executable, SHOP / "manage.py", *arguments],
            env=self.environment, capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rows(self, query, *values):
        """What a query finds in the SQLite file, without Django."""
        with sqlite3.connect(f"file:{self.folder}/db.sqlite3?mode=ro", uri=True) as database:
            return database.execute(query, values).fetchall()


@contextmanager
def sample_data():
    """A shop with sample products. The server's workers are another user, so the folder is open to all."""
    folder = Path(tempfile.mkdtemp(prefix="my_shop_data."))
    folder.chmod(0o755)
    try:
        made = Data(folder)
        made.manage("set_up_demo")
        yield made
    finally:
        shutil.rmtree(folder)


class Process:
    """A child with its output in a file; `stop` is polite and then checks that it ended."""

    def __init__(self, command, log: Path, **options):
        self.log = log
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=open(log, "ab"), stderr=subprocess.STDOUT, **options
        )

    def wait_for(self, address):
        def ready():
            assert self.child.poll() is None, f"ended with {self.child.returncode}:\n{self.log.read_text()}"
            return connects(address)

        until(ready, f"{address} taking connections\n{self.log.read_text()}")

    def stop(self, how=signal.SIGTERM):
        """Ends it; its exit status."""
        if self.child.poll() is None:
            self.child.send_signal(how)
        try:
            return self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise


class Stack:
    """One running deployment. `server` and `gunicorn` can be stopped and started one by one."""

    def __init__(self, data: Data, conf: str, environment=()):
        # In /tmp rather than below the checkout: a UNIX socket's path ends at 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="my_shop."))
        self.folder.chmod(0o755)
        (self.folder / "logs").mkdir()
        self.data = data
        self.port = free_port()
        self.socket = self.folder / "gunicorn.sock"
        self.conf = self.folder / "site.conf"
        self.conf.write_text(self.site(conf))
        self.error_log = self.folder / "logs/error.log"
        self.access_log = self.folder / "logs/access.log"
        self.environment = {
            **data.environment,
            "MY_SHOP_ORIGINS": f"http://localhost:{self.port},http://127.0.0.1:{self.port}",
            **dict(environment),
        }
        self.server = self.gunicorn = None

    def site(self, conf):
        """The shop's own file with this machine's paths, on our port."""
        text = (SHOP / conf).read_text()
        text = text.replace("/home/maiviet/my_shop", str(self.data.folder)).replace("/run/gunicorn", str(self.folder))
        listen = f"listen 127.0.0.1:{self.port};"
        if "server {" in text:
            text = text.replace("listen 80;", listen)
        else:
            (self.folder / conf).write_text(text)
            text = f"server {{\n    {listen}\n    include {self.folder / conf};\n}}\n"
        return NGINX_AROUND.format(site=text) if needs_frame() else text

    def start_gunicorn(self, *options):
        self.gunicorn = Process(
            [sys.executable, "-m", "gunicorn", "--bind", f"unix:{self.socket}", "--workers", "2", "--no-control-socket",
             *options, "my_shop.wsgi:application"],
            self.folder / "gunicorn.log", cwd=SHOP, env=self.environment,
        )
        self.gunicorn.wait_for(self.socket)

    def start_server(self):
        self.server = Process([*self.command(), "-g", "daemon off;"], self.folder / "server.log")
        self.server.wait_for(self.port)

    def command(self):
        return [BINARY, "-p", f"{self.folder}/", "-c", self.conf]

    def url(self, path="/"):
        return f"http://localhost:{self.port}{path}"

    def errors(self, pattern):
        """The first line of error.log that the regular expression finds; waits for it."""
        def found():
            return self.error_log.exists() and re.search(rf"^.*{pattern}.*$", self.error_log.read_text(), re.M)

        return until(found, f"in error.log: {pattern}")[0]

    def __enter__(self):
        try:
            self.start_gunicorn()
            self.start_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.server, self.gunicorn):
            if process and process.child.poll() is None:
                process.stop()
        shutil.rmtree(self.folder)
