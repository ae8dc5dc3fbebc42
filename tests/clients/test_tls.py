"""Programs that look at TLS: openssl as a client and as a responder, sslscan as an auditor."""

import re
import subprocess

import pytest
from stack import free_port, until

from test_clients import needs, run

# Mozilla's intermediate configuration, as its generator writes it for nginx.
INTERMEDIATE = """
ssl_protocols TLSv1.2 TLSv1.3;
ssl_ecdh_curve X25519:prime256v1:secp384r1;
ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:\
DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305;
ssl_prefer_server_ciphers off;
ssl_session_timeout 1d;
ssl_session_cache shared:MozSSL:10m;
"""

AUTHORITY = """
[ca]
default_ca = one
[one]
new_certs_dir = .
database = index.txt
serial = serial
default_md = sha256
default_days = 30
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
authorityInfoAccess = OCSP;URI:http://127.0.0.1:{port}/
"""


class Authority:
    """A certificate authority in a folder, with a responder that knows what it has revoked."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        (folder / "ca.conf").write_text(AUTHORITY.format(port=self.port))
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
                     "-days", "30", "-subj", "/CN=ca")

    def openssl(self, *arguments):
        return run("openssl", *arguments, cwd=self.folder)

    def sign(self, name):
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                     "-subj", f"/CN={name}")
        self.openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.crt", "-keyfile", "ca.key",
                     "-in", f"{name}.csr", "-out", f"{name}.crt", "-notext")

    def revoke(self, name):
        self.openssl("ca", "-config", "ca.conf", "-cert", "ca.crt", "-keyfile", "ca.key", "-revoke", f"{name}.crt")

    def respond(self):
        """Starts the responder, for as many requests as a test makes."""
        return subprocess.Popen(
            ["openssl", "ocsp", "-index", "index.txt", "-port", str(self.port), "-rsigner", "ca.crt", "-rkey", "ca.key",
             "-CA", "ca.crt", "-ndays", "1"],
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


    def answers(self):
        """Whether the responder is there: one that is only connected to resets whoever comes next."""
        question = ["openssl", "ocsp", "-issuer", "ca.crt", "-cert", "server.crt", "-CAfile", "ca.crt",
                    "-url", f"http://127.0.0.1:{self.port}/"]
        return subprocess.run(question, cwd=self.folder, capture_output=True, timeout=60).returncode == 0


@pytest.fixture
def authority(tmp_path):
    authority = Authority(tmp_path / "ca")
    for name in ("server", "good", "revoked"):
        authority.sign(name)
    authority.revoke("revoked")
    chain = authority.folder / "chain.crt"
    chain.write_text((authority.folder / "server.crt").read_text() + (authority.folder / "ca.crt").read_text())
    responder = authority.respond()
    until(authority.answers, "the responder")
    yield authority
    responder.terminate()
    responder.wait(10)


def status(server):
    """What the server says of its own certificate."""
    answer = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-status"],
                            input="", capture_output=True, text=True, timeout=60)
    return re.search(r"OCSP response: no response|Cert Status: \w+", answer.stdout)[0]


@needs("openssl", "curl")
def test_responders_are_asked(serve, authority):
    ca = authority.folder
    server = serve(f"""
        server {{{{
            listen 127.0.0.1:{{port}} ssl;
            ssl_certificate {ca}/chain.crt; ssl_certificate_key {ca}/server.key;
            ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {ca}/ca.crt;
            ssl_verify_client optional; ssl_client_certificate {ca}/ca.crt; ssl_ocsp on;
            return 200 "$ssl_client_verify";
        }}}}
    """)
    # The first client who asks makes us ask.
    assert status(server) == "OCSP response: no response"
    until(lambda: status(server) == "Cert Status: good", "an answer to be sent along")
    for name, expected in (("good", "SUCCESS"), ("revoked", "400 The SSL certificate error")):
        answer = run("curl", "-sk", "--cert", ca / f"{name}.crt", "--key", ca / f"{name}.key",
                     f"https://127.0.0.1:{server.port}/")
        assert expected in answer
    assert "client SSL certificate verify error" not in server.log() or "certificate revoked" in server.log()


@needs("openssl")
def test_early_data_is_answered_once(serve, authority, tmp_path):
    ca = authority.folder
    server = serve(f"""
        log_format early "$request_uri [$ssl_early_data] $ssl_session_reused";
        access_log {tmp_path}/early.log early;
        client_header_timeout 1s;
        server {{{{
            listen 127.0.0.1:{{port}} ssl;
            ssl_certificate {ca}/server.crt; ssl_certificate_key {ca}/server.key;
            ssl_session_cache shared:one:1m; ssl_early_data on;
            return 200 "early [$ssl_early_data]\\n";
        }}}}
    """)
    (tmp_path / "request").write_text("GET /early HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n")
    client = ["s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3", "-ign_eof"]
    run("openssl", *client, "-sess_out", tmp_path / "session")
    taken, refused = (run("openssl", *client, "-sess_in", tmp_path / "session", "-early_data", tmp_path / "request")
                      for _ in range(2))
    assert "Early data was accepted" in taken and "early [1]" in taken
    assert "Early data was rejected" in refused and "early [" not in refused
    assert server.log("early.log") == "/early [1] r\n"


@needs("openssl", "sslscan")
def test_auditors_find_nothing(serve, authority):
    ca = authority.folder
    server = serve(f"""
        {INTERMEDIATE}
        server {{{{
            listen 127.0.0.1:{{port}} ssl;
            ssl_certificate {ca}/chain.crt; ssl_certificate_key {ca}/server.key;
        }}}}
    """)
    found = run("sslscan", "--no-colour", f"127.0.0.1:{server.port}")
    for line in ("SSLv2     disabled", "SSLv3     disabled", "TLSv1.0   disabled", "TLSv1.1   disabled",
                 "TLSv1.2   enabled", "TLSv1.3   enabled", "Server supports TLS Fallback SCSV",
                 "Session renegotiation not supported"):
        assert line in found, found
    assert not re.search(r"^TLS\S+ vulnerable", found, re.M), found
    names = re.findall(r"(?:Preferred|Accepted)\s+TLSv1\.[23]\s+\d+ bits\s+(\S+)", found)
    assert len(names) == 6 and all(re.match("TLS_|ECDHE-", name) for name in names), names
