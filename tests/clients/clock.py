"""What runs inside the kernel that `test_clock.py` boots: the server, its clients, and somebody who moves the clock."""

import email.utils
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

PORT, BACKEND, DAY = 8080, 8081, 86400
CONF = """
user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log notice;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/temp; proxy_temp_path {folder}/temp; proxy_cache_path {folder}/cache keys_zone=kept:1m;
    limit_req_zone $uri zone=one:1m rate=1r/m;
    keepalive_timeout 60s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 here; }}
        location = /soon {{ keepalive_timeout 2s; return 200 soon; }}
        location = /limited {{ limit_req zone=one; root {folder}; }}
        location = /asleep {{ proxy_pass http://127.0.0.1:{backend}; proxy_read_timeout 2s; }}
        location = /cached {{
            proxy_pass http://127.0.0.1:{backend}; proxy_cache kept; proxy_cache_valid 1h;
            add_header X-Cached $upstream_cache_status;
        }}
    }}
}}
"""


def backend():
    listener = socket.create_server(("127.0.0.1", BACKEND))
    kept = []
    while True:
        client, _ = listener.accept()
        if b"/asleep" in client.recv(4096):
            kept.append(client)
            continue
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        client.close()


def get(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer


def fresh():
    return http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)


def ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ")[1].split()
    return int(fields[11]) + int(fields[12])


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def look(kept, folder, worker):
    """What the server does at this time of the clock; the clock stays as it is meanwhile."""
    before = kept.sock
    time.sleep(0.2)  # The clock of the server ticks a few hundred times a second.
    answer = get(kept, "/")
    clock = time.time()
    worked = ticks(worker)
    time.sleep(0.5)
    line = (folder / "access.log").read_text().splitlines()[-1]
    logged = time.mktime(time.strptime(re.search(r"\[(.*?) ", line)[1], "%d/%b/%Y:%H:%M:%S"))
    return {
        "clock": clock,
        "date": email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp(),
        "logged": logged,
        "connections": 1 if kept.sock is before and before else 2,
        "limited": get(fresh(), "/limited").status,
        "cached": get(fresh(), "/cached").headers["X-Cached"],
        "ticks": ticks(worker) - worked,
    }


def jump(seconds):
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)


def run(binary, folder):
    for command in (["mount", "-t", "proc", "proc", "/proc"], ["ip", "link", "set", "lo", "up"]):
        subprocess.run(command, check=True)
    threading.Thread(target=backend, daemon=True).start()
    (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=PORT, backend=BACKEND))
    subprocess.run([binary, "-p", folder, "-c", "nginx.conf", "-e", "error.log"], check=True)
    master = int((folder / "pid").read_text())
    worker = children(master)[0]
    kept = fresh()
    get(kept, "/")
    assert get(fresh(), "/limited").status == 404
    assert get(fresh(), "/cached").headers["X-Cached"] == "MISS"
    jumps = [look(kept, folder, worker)]
    for seconds in (DAY, -3 * DAY, 60):
        jump(seconds)
        jumps.append(look(kept, folder, worker))
    soon, asleep = fresh(), fresh()
    get(soon, "/soon")
    began = time.monotonic()
    jump(-DAY)
    assert soon.sock.recv(1) == b""
    idle = time.monotonic() - began
    began = time.monotonic()
    asleep.request("GET", "/asleep")
    jump(2 * DAY)
    status = asleep.getresponse().status
    assert worker in children(master)
    return {"jumps": jumps, "idle": idle, "asleep": [status, time.monotonic() - began]}


def main():
    binary, folder = sys.argv[1], Path(sys.argv[2])
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", TZ="UTC")
    try:
        report = run(binary, folder)
    except BaseException:
        report = {"error": traceback.format_exc()}
    (folder / "report.json").write_text(json.dumps(report))
    os.sync()
    Path("/proc/sysrq-trigger").write_text("o")
    time.sleep(60)


main()
