"""What a reload reads again with root's rights: keys that nobody else may read, and what clients see of them."""

import os
import shutil
import socket
import ssl
import subprocess

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("openssl"), reason="needs root and openssl")

SITE = """
server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/site.pem; ssl_certificate_key {folder}/private/site.key;
          return 200 here; }}
"""


def make(folder, name):
    """A key that only root may read, and its certificate, as certbot leaves them."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-keyout", folder / "private/site.key", "-out", folder / "site.pem"],
        check=True, capture_output=True,
    )
    (folder / "private/site.key").chmod(0o600)


def connect(server):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=10))


def name_of(connection):
    pem = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, capture_output=True, text=True, check=True)
    return shown.stdout.strip().rsplit("=", 1)[1].strip()


def ask(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = b""
    while not answer.endswith(b"here"):
        answer += connection.recv(4096)
    return answer.split(b"\r\n")[0]


@pytest.fixture
def site(serve, tmp_path):
    """A server whose workers are nobody; nobody may look into `private`."""
    tmp_path.chmod(0o755)
    (tmp_path / "private").mkdir(mode=0o700)
    make(tmp_path, "first")
    server = serve(SITE)
    server.stop()
    server.conf.write_text(server.conf.read_text().replace("user root;", "user nobody nogroup;"))
    server.do()
    return server


def test_keys_and_certificates_are_read_again(site):
    kept = connect(site)
    assert (name_of(kept), ask(kept)) == ("first", b"HTTP/1.1 200 OK")
    make(site.folder, "second")
    assert name_of(connect(site)) == "first", "not before it is told to"
    assert site.do("-s", "reload") == (0, "")
    assert name_of(connect(site)) == "second"
    assert ask(kept) == b"HTTP/1.1 200 OK", "who was there stays"
    # A key that is not the certificate's stays out, and is named.
    before = (site.folder / "site.pem").read_text()
    make(site.folder, "third")
    (site.folder / "site.pem").write_text(before)
    status, said = site.do("-s", "reload")
    assert status == 1 and "key values mismatch" in said
    assert name_of(connect(site)) == "second"
    assert "key values mismatch" in site.log()
    # A worker that dies is started with what was read last.
    worker = int(open(f"/proc/{site.pid()}/task/{site.pid()}/children").read().split()[0])
    assert os.stat(f"/proc/{worker}").st_uid != 0, "it may not read keys"
    os.kill(worker, 9)
    assert name_of(connect(site)) == "second"


def test_a_key_that_is_gone_keeps_the_old_one(site):
    (site.folder / "private/site.key").unlink()
    status, said = site.do("-s", "reload")
    assert status == 1 and "cannot load certificate key" in said and "No such file" in said
    assert name_of(connect(site)) == "first"
