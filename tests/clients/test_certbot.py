"""certbot with its nginx plugin, against pebble: a certificate issued, the redirect it writes, and a renewal.

certbot writes redirects for port 80 only, so all of it happens in a network of its own.
"""

import ctypes
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess

import pytest
from stack import BINARY, connects, free_port, until

PROGRAMS = ["certbot", "pebble", "pebble-challtestsrv", "openssl", "ip"]
MISSING = [program for program in PROGRAMS if not shutil.which(program)]
pytestmark = pytest.mark.skipif(bool(MISSING) or os.geteuid() != 0, reason=f"needs root and {', '.join(PROGRAMS)}")
NAME = "shop.example.test"


CLONE_NEWNET = 0x40000000


@pytest.fixture
def network():
    """A network that this thread, and what it starts, is alone in."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    yield
    assert libc.setns(before, CLONE_NEWNET) == 0
    os.close(before)


@pytest.fixture
def authority(tmp_path, network):
    """A certificate authority that asks this machine for every name: its directory's address and its own certificate."""
    started, folder = [], tmp_path / "pebble"
    folder.mkdir()
    dns, dns_control, api, control = (free_port() for _ in range(4))
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate, *subject],
        check=True, capture_output=True,
    )
    (folder / "conf.json").write_text(json.dumps({"pebble": {
        "listenAddress": f"127.0.0.1:{api}", "managementListenAddress": f"127.0.0.1:{control}",
        "certificate": str(certificate), "privateKey": str(key), "httpPort": 80, "tlsPort": 443,
        "ocspResponderURL": "", "externalAccountBindingRequired": False,
    }}))
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}

    def start(*command):
        log = open(folder / f"{command[0]}.log", "w")
        started.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    start(
        "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{dns}",
        "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{dns_control}",
    )
    start("pebble", "-config", str(folder / "conf.json"), "-dnsserver", f"127.0.0.1:{dns}")
    until(lambda: connects(api) and connects(dns_control), "pebble")
    yield f"https://localhost:{api}/dir", certificate
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.fixture
def tree(tmp_path, authority):
    """A Debian-like /etc/nginx, and the program under nginx's name."""
    root, binary = tmp_path / "nginx", tmp_path / "sbin/nginx"
    (root / "sites-enabled").mkdir(parents=True)
    binary.parent.mkdir()
    binary.symlink_to(BINARY)
    (tmp_path / "html").mkdir()
    (tmp_path / "html/index.html").write_text("shop\n")
    (root / "nginx.conf").write_text(f"""
user root;
pid {tmp_path}/nginx.pid;
error_log {tmp_path}/error.log;
events {{
}}
http {{
    access_log {tmp_path}/access.log;
    client_body_temp_path {tmp_path}/body;
    proxy_temp_path {tmp_path}/proxy;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    include {root}/sites-enabled/*;
}}
""")
    (root / "sites-enabled/shop").write_text(f"""
server {{
    listen 80;
    server_name {NAME};
    root {tmp_path}/html;
}}
""")
    # certbot's plugin calls the program with `-c` of its own root; everything else is the program's business.
    subprocess.run([binary, "-c", root / "nginx.conf", "-e", f"{tmp_path}/error.log"], check=True, capture_output=True)
    until(lambda: connects(80), "the port")
    yield root, binary
    subprocess.run([binary, "-c", root / "nginx.conf", "-e", f"{tmp_path}/error.log", "-s", "stop"], capture_output=True)
    until(lambda: not (tmp_path / "nginx.pid").exists(), "its end")


def served():
    """The status, body and HSTS header over TLS, and the certificate's serial number."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", 443)) as plain, context.wrap_socket(plain, server_hostname=NAME) as secure:
        pem = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))
        secure.sendall(f"GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: secure.recv(65536), b"")).decode()
    serial = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True)
    return answer, serial.stdout


def test_certbot_issues_redirects_and_renews(authority, tree, tmp_path):
    directory, certificate = authority
    root, binary = tree
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(certificate)}
    folders = ["--config-dir", tmp_path / "le", "--work-dir", tmp_path / "work", "--logs-dir", tmp_path / "logs"]
    server = ["--nginx-server-root", root, "--nginx-ctl", binary, "--server", directory]

    def certbot(*arguments):
        done = subprocess.run(
            ["certbot", *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + (tmp_path / "error.log").read_text()[-3000:]

    certbot(
        "run", "--nginx", *server, *folders, "--non-interactive", "--agree-tos", "-m", "a@example.test", "-d", NAME,
        "--redirect", "--hsts",
    )
    answer, first = served()
    assert answer.startswith("HTTP/1.1 200 ") and answer.endswith("shop\n") and "Strict-Transport-Security: " in answer
    plain = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
    plain.request("GET", "/", headers={"Host": NAME})
    response = plain.getresponse()
    assert (response.status, response.headers["Location"]) == (301, f"https://{NAME}/")
    certbot("renew", "--force-renewal", *folders, "--no-random-sleep-on-renew")
    renewed, second = served()
    assert renewed.startswith("HTTP/1.1 200 ") and second != first
