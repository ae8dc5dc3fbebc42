"""A visitor without a browser: raw requests, cookies, and Django's CSRF token out of the page."""

import http.client
import re
import secrets
import socket
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import quote, urlencode


@dataclass
class Answer:
    status: int
    headers: dict  # names in lower case; the last of a repeated header
    body: bytes

    @property
    def text(self):
        return self.body.decode()


@dataclass
class File:
    """A file of a multipart form."""

    name: str
    content: bytes
    type: str = "image/jpeg"


class Visitor:
    """Sends requests over one kept connection, and remembers cookies."""

    def __init__(self, port, host="localhost"):
        self.port, self.host = port, host
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.cookies = {}

    def send(self, method, path, body=None, headers=()):
        """One exchange; `headers` may replace Host."""
        sent = {"Host": f"{self.host}:{self.port}", **dict(headers)}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, quote(path, safe="/?&=%+"), body, sent)
        response = self.connection.getresponse()
        for line in response.headers.get_all("Set-Cookie") or []:
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def get(self, path, **headers):
        return self.send("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path, fields, page=None, headers=()):
        """Fills in the form on `page` (or `path`) and sends it as a browser would, with token and Origin."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(page or path).text)
        fields = {"csrfmiddlewaretoken": token[1], **fields}
        if any(isinstance(value, File) for value in fields.values()):
            body, content_type = multipart(fields)
        else:
            body, content_type = urlencode(fields).encode(), "application/x-www-form-urlencoded"
        origin = f"http://{self.host}:{self.port}"
        return self.send("POST", path, body, {"Content-Type": content_type, "Origin": origin, **dict(headers)})

    def log_in(self, password):
        """Becomes the administrator."""
        answer = self.post("/admin/login/", {"username": "admin", "password": password, "next": "/admin/"})
        assert (answer.status, answer.headers.get("location")) == (302, "/admin/")


def multipart(fields):
    """The body and Content-Type of a form with files (RFC 7578)."""
    boundary = secrets.token_hex(16)
    parts = []
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, File):
            parts.append(f'{head}; filename="{value.name}"\r\nContent-Type: {value.type}\r\n\r\n'.encode() + value.content)
        else:
            parts.append(f"{head}\r\n\r\n{value}".encode())
    return b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def refused(port, request: bytes) -> Answer:
    """Sends bytes as they are; the one answer to them, without waiting for the server to close."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def raw(port, request: bytes) -> bytes:
    """Sends bytes as they are and reads until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))
