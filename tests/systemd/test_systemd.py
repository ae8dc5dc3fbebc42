"""The founding deployment under a real systemd: both units at boot, the way to the database, and the socket's permissions."""

import re
import shutil
import sqlite3
import subprocess
from urllib.parse import quote

import pytest
from stack import SHOP, needs_frame, until
from visitor import Visitor

SOCKET = "/run/gunicorn/gunicorn.sock"
ERROR_LOG = "/var/lib/rnginx/logs/error.log"


@pytest.fixture
def visitor(machine):
    """A visitor of http://localhost/ inside the machine."""
    visitor = Visitor(80)
    visitor.connection = machine.connection()
    return visitor


def home_page(machine, port=80):
    """The status of the front page; 0 while nobody listens."""
    connection = machine.connection(port)
    try:
        connection.request("GET", "/")
    except ConnectionRefusedError:
        return 0
    return connection.getresponse().status


def refusals(machine):
    """How often the socket was refused so far."""
    line = r"\[crit\] .*connect\(\) to unix:/run/gunicorn/gunicorn\.sock failed \(13: Permission denied\) while connecting to upstream"
    return len(re.findall(line, machine.host(ERROR_LOG).read_text()))


def test_unit_is_the_founding_one():
    assert (SHOP / "systemd/gunicorn.service").read_text().splitlines() == [
        "[Service]",
        "User=maiviet",
        "Group=www-data",
        "WorkingDirectory=/home/maiviet/my_shop",
        "ExecStart=/home/maiviet/venv/bin/gunicorn \\",
        "          --bind unix:/run/gunicorn/gunicorn.sock \\",
        "          my_shop.wsgi:application",
        "RuntimeDirectory=gunicorn",
    ]


def test_both_run_after_boot(machine):
    assert machine.state("gunicorn") == machine.state("rnginx") == "active"
    until(lambda: home_page(machine) == 200, "Gunicorn answering")
    assert machine.do("stat", "-c", "%U:%G %F", SOCKET) == "maiviet:www-data socket\n"
    users = {}
    for line in machine.do("ps", "-eo", "pid=,ppid=,user=,group=,comm=").splitlines():
        process, parent, user, group, name = line.split(maxsplit=4)
        users.setdefault(name, set()).add(f"{user}:{group}")
    assert users["gunicorn"] == {"maiviet:www-data"}
    served = users.get("rnginx") or users["nginx"]
    assert served == {"root:root", "www-data:www-data"}


def test_closed_home_folder_is_403_and_says_why(machine, visitor):
    """adduser makes home folders with mode 0700, which keeps the web server out of staticfiles/."""
    machine.do("chmod", "0700", "/home/maiviet")
    assert visitor.get("/static/home/shop.css").status == 403
    machine.do("chmod", "0711", "/home/maiviet")
    assert visitor.get("/static/home/shop.css").status == 200
    line = 'open() "/home/maiviet/my_shop/staticfiles/home/shop.css" failed (13: Permission denied)'
    assert line in machine.host(ERROR_LOG).read_text()


def test_static_media_and_django(visitor):
    assert visitor.get("/static/home/shop.css").body == (SHOP / "home/static/home/shop.css").read_bytes()
    photo = visitor.get("/media/products/đèn-lồng-hội-an.jpg")
    assert (photo.status, photo.headers["content-type"], photo.body[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")
    assert "Đèn lồng Hội An" in visitor.get("/").text


def test_letter_goes_to_the_database_and_back(machine, visitor):
    visitor.host, visitor.port = "localhost", 80
    answer = visitor.post("/lien-he/", {"name": "Bác Ba", "email": "ba@example.vn", "text": "Gửi về Huế"}, headers={"Origin": "http://localhost"})
    assert answer.status == 302
    assert "Cảm ơn Bác Ba" in visitor.get("/").text
    with sqlite3.connect(machine.host("/home/maiviet/my_shop/db.sqlite3")) as database:
        assert database.execute("SELECT text FROM home_message").fetchall() == [("Gửi về Huế",)]


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium here")
def test_browser_on_port_80(machine, tmp_path):
    shown = subprocess.run(
        ["nsenter", f"--net=/proc/{machine.init}/ns/net", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         f"--user-data-dir={tmp_path}", "--virtual-time-budget=10000", "--dump-dom", "http://localhost/san-pham/"],
        capture_output=True, text=True, timeout=60,
    )
    assert "Giỏ cói đi chợ" in shown.stdout
    log = machine.host("/var/lib/rnginx/logs/access.log").read_text()
    by_browser = [line for line in log.splitlines() if "HeadlessChrome" in line]
    for path in ("/san-pham/", "/static/home/shop.css", f"/media/products/{quote('nón-lá-huế')}.jpg"):
        assert any(f'"GET {path} HTTP/1.1" 200 ' in line for line in by_browser), path


def test_socket_without_group_permission_is_502(machine):
    before = refusals(machine)
    machine.do("chmod", "0700", SOCKET)
    assert home_page(machine) == 502
    assert refusals(machine) == before + 1
    machine.do("chmod", "0770", SOCKET)
    assert home_page(machine) == 200


def test_group_is_what_lets_the_server_in(machine):
    machine.drop_in("gunicorn", "RuntimeDirectoryMode=0750")
    until(lambda: home_page(machine) == 200, "Gunicorn answering members of www-data only")
    machine.drop_in("gunicorn", "RuntimeDirectoryMode=0750\nGroup=maiviet")
    until(lambda: machine.enter("test", "-S", SOCKET)[0] == 0, "the socket")
    before = refusals(machine)
    assert home_page(machine) == 502
    assert refusals(machine) == before + 1
    machine.drop_in("gunicorn", "")
    until(lambda: home_page(machine) == 200, "Gunicorn with the founding unit again")


def test_reload_and_stop(machine, visitor):
    assert visitor.get("/static/home/shop.css").status == 200
    machine.do("systemctl", "reload", "rnginx")
    assert home_page(machine) == 200
    machine.do("systemctl", "stop", "rnginx")
    assert machine.do("systemctl", "show", "rnginx", "-p", "ActiveState,SubState,Result").split() == [
        "Result=success", "ActiveState=inactive", "SubState=dead",
    ]
    machine.do("systemctl", "start", "rnginx")
    until(lambda: home_page(machine) == 200, "rnginx started again")


@pytest.mark.skipif(needs_frame(), reason="an nginx does not supply a port")
def test_without_root_the_fragment_is_on_port_8000(machine):
    """The same file, by hand, as the user of the shop: in the background, as nginx goes there by itself."""
    server = "/usr/local/sbin/rnginx -p /home/maiviet/server/ -c /etc/nginx/sites-available/my_shop"
    machine.do("runuser", "-u", "maiviet", "--", "mkdir", "-p", "/home/maiviet/server/logs")
    machine.do("runuser", "-u", "maiviet", "--", *server.split())
    assert home_page(machine, 8000) == 200
    machine.do("runuser", "-u", "maiviet", "--", *server.split(), "-s", "quit")
    until(lambda: home_page(machine, 8000) == 0, "the server's end")
    assert home_page(machine) == 200
