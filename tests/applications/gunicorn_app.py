"""What Gunicorn runs in these tests: one WSGI and one ASGI application."""

import asyncio
import json
import zlib

TOLD = ("SERVER_PROTOCOL", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_PORT", "HTTP_HOST", "HTTP_CONNECTION")


def wsgi(environ, start_response):
    path, headers, status = environ["PATH_INFO"], [("Content-Type", "text/plain")], "200 OK"
    if path == "/told":
        body = [json.dumps({name: environ.get(name) for name in TOLD}).encode()]
    elif path == "/upload":
        body = [measured(environ["wsgi.input"].read())]
    elif path == "/download":
        size = int(environ["QUERY_STRING"])
        headers.append(("Content-Length", str(size)))
        body = (b"x" * 65536 for _ in range(size // 65536))
    elif path == "/pieces":
        body = (b"piece %d\n" % number for number in range(1000))
    elif path == "/quick":
        body = [b"quick"]
    elif path == "/broken":
        body = fails_midway()
    else:
        status, body = "404 Not Found", [b"no such page"]
    start_response(status, headers)
    return body


def fails_midway():
    yield b"begun\n"
    raise RuntimeError("the application fails")


def measured(body):
    return b"%d %d" % (len(body), zlib.crc32(body))


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (event := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{event}.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    if scope["type"] == "websocket":
        return await echo(scope, receive, send)
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    headers = [(b"content-type", b"text/plain")]
    if scope["path"] == "/ticks":
        headers.append((b"x-accel-buffering", b"no"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/ticks":
        for number in range(5):
            await send({"type": "http.response.body", "body": b"tick %d\n" % number, "more_body": True})
            await asyncio.sleep(0.2)
        return await send({"type": "http.response.body", "body": b""})
    told = {"http": scope["http_version"], "method": scope["method"], "port": scope["client"] and scope["client"][1]}
    answer = measured(body) if scope["path"] == "/upload" else json.dumps(told).encode()
    await send({"type": "http.response.body", "body": answer})


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "end":
            return await send({"type": "websocket.close", "code": 4000, "reason": "as asked"})
        kind = "text" if event.get("text") is not None else "bytes"
        await send({"type": "websocket.send", kind: event[kind]})
