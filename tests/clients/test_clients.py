"""Programs that come with Debian and know nginx: they must find in us what they find in it."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from stack import connects, free_port, until

SITE = """
server {{
    listen 127.0.0.1:{port};
    root {folder}/html;
    location /private/ {{ auth_basic "private"; auth_basic_user_file {folder}/htpasswd; }}
    location /limited/ {{ limit_req zone=one; }}
    location = /status {{ stub_status; access_log off; }}
}}
limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
"""


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def get(server, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body.decode()


@pytest.fixture
def site(serve, tmp_path):
    (tmp_path / "htpasswd").write_text("ann:{PLAIN}secret\n")
    return serve(SITE)


@needs("fail2ban-regex")
@pytest.mark.parametrize("name, log, matches", [
    ("nginx-http-auth", "error.log", 2),
    ("nginx-limit-req", "error.log", 3),
    ("nginx-botsearch", "access.log", 1),
    ("nginx-bad-request", "access.log", 1),
])
def test_fail2ban_finds_offenders(site, name, log, matches):
    get(site, "/private/", Authorization="Basic YW5uOndyb25n")  # ann:wrong
    get(site, "/private/", Authorization="Basic Ym9iOnNlY3JldA==")  # bob:secret
    for _ in range(4):
        get(site, "/limited/")
    get(site, "/wp-login.php")
    with socket.create_connection(("127.0.0.1", site.port)) as client:
        client.sendall(b"\x16\x03\x01bad\r\n\r\n")
        client.recv(4096)
    until(lambda: '" 400 ' in site.log("access.log"), "the lines")
    said = run("fail2ban-regex", str(site.folder / log), f"/etc/fail2ban/filter.d/{name}.conf")
    found = re.search(r"(\d+) matched", said)
    assert found and int(found[1]) == matches, f"{said}\n{site.log(log)}"


@needs("goaccess")
def test_goaccess_reads_every_line(site):
    for path in ("/", "/missing", "/?q=%20x", "/a%22b"):
        get(site, path, Referer='http://a/"quoted"')
    report = site.folder / "report.json"
    run("goaccess", str(site.folder / "access.log"), "--log-format=COMBINED", "--no-global-config", "-o", str(report))
    general = json.loads(report.read_text())["general"]
    assert (general["total_requests"], general["valid_requests"], general["failed_requests"]) == (4, 4, 0)


@needs("prometheus-nginx-exporter")
def test_the_exporter_counts(site):
    get(site, "/")
    port = free_port()
    options = ["-nginx.scrape-uri", f"http://127.0.0.1:{site.port}/status", "-web.listen-address", f"127.0.0.1:{port}"]
    exporter = subprocess.Popen(["prometheus-nginx-exporter", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: connects(port), "the exporter")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        metrics = dict(line.rsplit(" ", 1) for line in connection.getresponse().read().decode().splitlines() if line[:1] != "#")
        assert metrics["nginx_up"] == "1"
        assert float(metrics["nginx_http_requests_total"]) >= 2
        assert float(metrics["nginx_connections_accepted"]) == float(metrics["nginx_connections_handled"]) >= 2
    finally:
        exporter.terminate()
        exporter.wait(10)


MUNIN = "/usr/share/munin/plugins/nginx_status"


@pytest.mark.skipif(not os.path.exists(MUNIN), reason="not installed: munin's plugins")
def test_munin_draws_connections(site):
    environment = {**os.environ, "url": f"http://127.0.0.1:{site.port}/status", "MUNIN_LIBDIR": "/usr/share/munin"}
    values = dict(line.split(".value ") for line in run("perl", MUNIN, env=environment).splitlines())
    assert set(values) == {"total", "reading", "writing", "waiting"} and int(values["total"]) >= 1


@needs("start-stop-daemon")
def test_start_stop_daemon_knows_it_by_name(site):
    pid_file = f"--pidfile={site.folder}/nginx.pid"
    run("start-stop-daemon", "--status", pid_file, "--name", "nginx")
    get(site, "/before")
    until(lambda: site.log("access.log"), "its line")
    (site.folder / "access.log").rename(site.folder / "access.log.1")
    run("start-stop-daemon", "--stop", "--signal", "USR1", "--quiet", pid_file, "--name", "nginx")
    until(lambda: (site.folder / "access.log").exists(), "the new log")
    get(site, "/after")
    until(lambda: " /after " in site.log("access.log"), "its line")
    assert " /before " in site.log("access.log.1")


@needs("logrotate")
def test_logrotate_rotates(site):
    conf = site.folder / "rotate.conf"
    conf.write_text(f"""{site.folder}/access.log {{
        rotate 2
        su root root
        create 0640 root root
        postrotate
            start-stop-daemon --stop --signal USR1 --quiet --pidfile {site.folder}/nginx.pid --name nginx
        endscript
    }}\n""" if os.geteuid() == 0 else f"{site.folder}/access.log {{\n}}\n")
    get(site, "/before")
    until(lambda: site.log("access.log"), "its line")
    run("logrotate", "-f", "-s", str(site.folder / "state"), str(conf))
    assert " /before " in site.log("access.log.1")


ANSIBLE = Path(sys.executable).with_name("ansible")


@pytest.mark.skipif(not ANSIBLE.exists(), reason="Ansible is not here: tests/run installs it")
def test_ansible_puts_only_good_files_in_place(site, tmp_path):
    """`validate: nginx -t -c %s` and a reload, as in a playbook."""
    source = tmp_path / "source.conf"

    def apply(text):
        source.write_text(text)
        arguments = f"src={source} dest={site.conf} validate='{site.binary} -t -p {site.folder}/ -c %s'"
        environment = {**os.environ, "ANSIBLE_HOME": str(tmp_path / "ansible"), "ANSIBLE_LOCALHOST_WARNING": "0"}
        command = [ANSIBLE, "localhost", "-m", "ansible.builtin.copy", "-a", arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=environment)

    before = site.conf.read_text()
    refused = apply(before.replace("root ", "rooot "))
    assert refused.returncode != 0 and 'unknown directive \\"rooot\\"' in refused.stdout, refused
    assert site.conf.read_text() == before
    good = before.replace("stub_status;", 'return 200 "played";')
    done = apply(good)
    assert done.returncode == 0 and "CHANGED" in done.stdout, done
    assert site.conf.read_text() == good and get(site, "/status")[1].startswith("Active connections")
    assert site.do("-s", "reload")[0] == 0
    assert get(site, "/status") == (200, "played")


def test_a_container_runs_it_as_its_first_process(serve):
    """As the official image: process 1, in the foreground, logs to pipes, told to end by QUIT."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare")
    site = serve("server {{ listen 127.0.0.1:{port}; return 200 one; }}")
    site.stop()
    conf = site.conf.read_text().replace(f"{site.folder}/access.log", "/dev/stdout").replace(f"{site.folder}/error.log", "/dev/stderr")
    site.conf.write_text(conf)
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", str(site.binary), "-c", str(site.conf), "-g", "daemon off;"]
    container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: connects(site.port), "the port")
    assert get(site, "/first") == (200, "one")
    inner = int(subprocess.run(["pgrep", "-P", str(container.pid)], capture_output=True, text=True).stdout)
    os.kill(inner, signal.SIGQUIT)
    said, complained = container.communicate(timeout=20)
    assert container.returncode == 0
    assert '"GET /first HTTP/1.1" 200 3' in said
    assert "[alert]" not in complained and "[emerg]" not in complained, complained
