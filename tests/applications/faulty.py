"""What `test_gunicorn.py` runs in Gunicorn: answers that come late, in halves, or are large."""

import os
import time
from pathlib import Path

LARGE = 2 << 20


def application(environ, start_response):
    path, length = environ["PATH_INFO"], int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if path == "/late":
        Path(os.environ["FAULTY_FOLDER"], "late").touch()
        time.sleep(60)
    text = b"x" * LARGE if path in ("/large", "/half") else f"{path} {len(body)}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text) * (1 + (path == "/half"))))])
    yield text
    if path == "/half":
        time.sleep(60)
