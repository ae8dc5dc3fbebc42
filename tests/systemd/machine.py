"""A small Debian with a real systemd, made by debootstrap and booted by systemd-nspawn.

It has the founding document's layout: the shop in /home/maiviet/my_shop, its packages in /home/maiviet/venv,
both units in /etc/systemd/system, the site in /etc/nginx/sites-available. Its network is its own loopback,
so port 80 is free whatever the host does.
"""

import ctypes
import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from stack import BINARY, NGINX_AROUND, PASSWORD, PATIENCE, ROOT, SHOP, needs_frame, until

SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,python3-venv,ca-certificates,procps"
CACHE = ROOT / "target/systemd"
HOME = "home/maiviet"
CLONE_NEWNET = 0x40000000
NSPAWN = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit"]


def run(command, **options):
    """Runs a command to success; its output."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def within(root, *command):
    """Runs a command in the tree without booting it, on the host's network and with its way to packages."""
    passed = [name for name in os.environ if name.lower().endswith("_proxy")]
    passed += [name for name in ("PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST") if name in os.environ]
    shared = [file for file in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt") if os.path.exists(file)]
    return run([
        *NSPAWN, "--pipe", "--resolv-conf=off", f"--directory={root}", *(f"--setenv={name}={os.environ[name]}" for name in passed),
        *(f"--bind-ro={os.path.realpath(file)}:{file}" for file in shared), *command,
    ])


def mirror():
    """Where this machine gets its own Debian packages from; debootstrap knows one if it is no Debian."""
    listed = run(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"])
    return [site for site in listed.split() if site.rstrip("/").endswith("/debian")][:1]


def bootstrap(suite, packages, wanted="", prepare=lambda making: None):
    """A Debian with these packages. Made once, then kept under target/."""
    kept = CACHE / hashlib.sha256(f"{suite} {packages} {wanted}".encode()).hexdigest()[:12]
    if kept.exists():
        return kept
    making = kept.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    run(["debootstrap", "--variant=minbase", f"--include={packages}", suite, making, *mirror()])
    prepare(making)
    making.rename(kept)
    return kept


def base():
    """The tree before our files: Debian, the user, and Python packages."""
    wanted = (SHOP / "requirements.txt").read_text()
    return bootstrap(SUITE, PACKAGES, wanted, lambda making: add_user(making, wanted))


def add_user(making, wanted):
    within(making, "useradd", "--create-home", "--shell", "/bin/bash", "maiviet")
    (making / HOME / "requirements.txt").write_text(wanted)
    within(making, "python3", "-m", "venv", f"/{HOME}/venv")
    within(making, f"/{HOME}/venv/bin/pip", "install", "--no-cache-dir", "--no-compile", "-r", f"/{HOME}/requirements.txt")
    within(making, "chown", "-R", "maiviet:maiviet", f"/{HOME}")


class Tree:
    """A root folder of our own: what is written lies over the kept tree, which stays as it is."""

    def __init__(self, kept):
        self.folder = Path(tempfile.mkdtemp(prefix="machine.", dir=CACHE))
        self.root, written, work = (self.folder / name for name in ("root", "written", "work"))
        for folder in (self.root, written, work):
            folder.mkdir()
        layers = f"lowerdir={kept},upperdir={written},workdir={work}"
        self.mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], capture_output=True).returncode == 0
        if not self.mounted:
            # Root in a container may not mount; a copy takes ten seconds more.
            run(["cp", "-a", "--reflink=auto", f"{kept}/.", self.root])

    def remove(self):
        if self.mounted:
            # What ended with the machine may hold it for a moment longer.
            for _ in range(50):
                if subprocess.run(["umount", self.root], capture_output=True).returncode == 0:
                    break
                time.sleep(0.2)
            else:
                run(["umount", "--lazy", self.root])
        shutil.rmtree(self.folder)


def site():
    """The founding document's file, to the letter; only an nginx needs more around it."""
    text = (SHOP / "my_shop.conf").read_text()
    return NGINX_AROUND.format(site=f"server {{ {text} }}") if needs_frame() else text


def furnish(root):
    """Puts the shop, both units, the site and the server's binary in their places, and starts them at boot."""
    not_copied = shutil.ignore_patterns(".demo", "__pycache__", "media", "staticfiles", "db.sqlite3*", "secret_key", "venv")
    shutil.copytree(SHOP, root / HOME / "my_shop", ignore=not_copied)
    within(root, "chown", "-R", "maiviet:maiviet", f"/{HOME}/my_shop")
    within(
        root, "runuser", "-u", "maiviet", "--", "env", f"DEMO_ADMIN_PASSWORD={PASSWORD}",
        f"/{HOME}/venv/bin/python", f"/{HOME}/my_shop/manage.py", "set_up_demo",
    )
    for unit in ("gunicorn.service", "rnginx.service"):
        shutil.copy(SHOP / "systemd" / unit, root / "etc/systemd/system")
    shutil.copy(BINARY, root / "usr/local/sbin/rnginx")
    (root / "etc/nginx/sites-available").mkdir(parents=True)
    (root / "etc/nginx/sites-available/my_shop").write_text(site())
    within(root, "systemctl", "enable", "rnginx.service")


class Machine:
    """The booted system. `host` paths are the same files seen from outside."""

    def __init__(self, name="my-shop", base=base, furnish=furnish):
        self.tree = Tree(base())
        self.root = self.tree.root
        try:
            furnish(self.root)
        except BaseException:
            self.tree.remove()
            raise
        self.log = CACHE / f"{name}.log"
        self.console = open(self.log, "wb")
        self.nspawn = subprocess.Popen(
            [*NSPAWN, "--boot", "--private-network", f"--machine={name}", "--console=pipe", f"--directory={self.root}"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT,
        )
        try:
            self.init = until(self._init, "systemd's process")
            self.network = os.open(f"/proc/{self.init}/ns/net", os.O_RDONLY)
            until(lambda: self.state("multi-user.target") == "active", f"the boot; see {self.log}")
        except BaseException:
            self.power_off()
            raise

    def _init(self):
        assert self.nspawn.poll() is None, self.log.read_text()
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        return next((int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == "systemd\n"), None)

    def host(self, path):
        return self.root / path.lstrip("/")

    def enter(self, *command):
        """Runs a command inside, as root; its exit status and output."""
        done = subprocess.run(
            ["nsenter", f"--target={self.init}", "--all", "--", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )
        return done.returncode, done.stdout

    def do(self, *command):
        status, output = self.enter(*command)
        assert status == 0, f"{command}: exit {status}\n{output}{self.enter('journalctl', '-n50', '--no-pager')[1]}"
        return output

    def state(self, unit):
        return self.enter("systemctl", "is-active", unit)[1].strip()

    def connection(self, port=80):
        """An HTTP connection to a port inside, from out here."""
        return InsideConnection(self, port)

    def socket(self):
        """A socket that lives in the machine's network; this thread comes back to its own at once."""
        setns = ctypes.CDLL(None, use_errno=True).setns
        ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            if setns(self.network, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            return socket.socket()
        finally:
            setns(ours, CLONE_NEWNET)
            os.close(ours)

    def drop_in(self, unit, text):
        """Lays lines over a unit's [Service] section and restarts it; no lines take the drop-in away."""
        folder = self.host(f"/etc/systemd/system/{unit}.service.d")
        folder.mkdir(exist_ok=True)
        (folder / "test.conf").write_text(f"[Service]\n{text}\n")
        self.do("systemctl", "daemon-reload")
        self.do("systemctl", "restart", unit)

    def power_off(self):
        """Shuts down as `poweroff` does; nothing is left running and the tree is taken away."""
        if self.nspawn.poll() is None:
            if hasattr(self, "init"):
                # systemd's own signal for it.
                os.kill(self.init, signal.SIGRTMIN + 4)
            try:
                self.nspawn.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.nspawn.terminate()
                self.nspawn.wait(PATIENCE)
        self.console.close()
        if hasattr(self, "network"):
            os.close(self.network)
        self.tree.remove()


class InsideConnection(http.client.HTTPConnection):
    def __init__(self, machine, port):
        super().__init__("127.0.0.1", port, timeout=PATIENCE)
        self.machine = machine

    def connect(self):
        self.sock = self.machine.socket()
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))
