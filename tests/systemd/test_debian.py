"""In nginx's place on Debian: its own unit, init script and logrotate file unchanged, and our package."""

import re
import subprocess
import time

import pytest
from stack import BINARY, ROOT, until

STOCK = ("bookworm", "systemd,systemd-sysv,nginx-common,logrotate,procps,lsof")
BARE = ("trixie", "systemd,systemd-sysv,logrotate,procps,init-system-helpers")


def start(name, debian, furnish):
    from machine import Machine, bootstrap

    return Machine(name, lambda: bootstrap(*debian), furnish)


@pytest.fixture(scope="module")
def stock(possible):
    """Debian 12 with all that its nginx package brings but the program: that is ours."""

    def furnish(root):
        target = root / "usr/sbin/nginx"
        target.write_bytes(BINARY.read_bytes())
        target.chmod(0o755)
        enabled = root / "etc/nginx/sites-enabled/default"
        if not enabled.is_symlink():
            enabled.symlink_to("/etc/nginx/sites-available/default")
        (root / "etc/systemd/system/multi-user.target.wants/nginx.service").unlink(missing_ok=True)
        (root / "etc/systemd/system/multi-user.target.wants/nginx.service").symlink_to("/lib/systemd/system/nginx.service")
        (root / "var/www/html").mkdir(parents=True, exist_ok=True)
        (root / "var/www/html/index.html").write_text("stock")

    machine = start("stock", STOCK, furnish)
    yield machine
    machine.power_off()


def get(machine, path="/", port=80):
    connection = machine.connection(port)
    connection.request("GET", path, headers={"Host": "a"})
    response = connection.getresponse()
    return response.status, response.read().decode()


def masters(machine):
    listed = machine.do("ps", "-eo", "pid=,args=")
    return [int(pid) for pid in re.findall(r"(?m)^ *(\d+) nginx: master process", listed)]


def test_debians_unit_starts_it_at_boot(stock):
    until(lambda: stock.state("nginx") == "active", "nginx.service")
    assert get(stock) == (200, "stock")
    main = stock.do("systemctl", "show", "--property=MainPID", "--value", "nginx").strip()
    assert [int(main)] == masters(stock)
    names = stock.do("ps", "-C", "nginx", "-o", "user=,args=").splitlines()
    assert names[0].split(maxsplit=1) == ["root", "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;"]
    assert names[1].split(maxsplit=1) == ["www-data", "nginx: worker process"]


def test_debians_unit_reloads_it(stock):
    before = masters(stock)
    stock.host("/var/www/html/index.html").write_text("reloaded")
    stock.host("/etc/nginx/conf.d/header.conf").write_text("add_header X-Reloaded yes;\n")
    stock.do("systemctl", "reload", "nginx")
    connection = stock.connection()
    connection.request("GET", "/", headers={"Host": "a"})
    response = connection.getresponse()
    assert (response.status, response.headers["X-Reloaded"]) == (200, "yes")
    assert masters(stock) == before
    stock.host("/etc/nginx/conf.d/header.conf").unlink()
    stock.host("/var/www/html/index.html").write_text("stock")


def test_a_broken_file_keeps_it_running_and_fails_the_restart_test(stock):
    stock.host("/etc/nginx/conf.d/broken.conf").write_text("server { prox_pass http://a; }\n")
    status, said = stock.enter("nginx", "-t")
    assert status == 1 and 'unknown directive "prox_pass" in /etc/nginx/conf.d/broken.conf:1' in said
    assert stock.enter("systemctl", "reload", "nginx")[0] != 0, "nginx cannot say so, we can"
    assert get(stock) == (200, "stock")
    stock.host("/etc/nginx/conf.d/broken.conf").unlink()
    stock.do("systemctl", "reload", "nginx")


def test_debians_logrotate_file_makes_it_open_its_logs_again(stock):
    get(stock, "/before")
    stock.do("logrotate", "--force", "/etc/logrotate.d/nginx")
    assert " /before " in stock.host("/var/log/nginx/access.log.1").read_text()

    def logged():
        get(stock, "/after")
        return " /after " in stock.host("/var/log/nginx/access.log").read_text()

    until(logged, "a line in the new log")


def test_debians_init_script_upgrades_it(stock):
    before = masters(stock)
    stock.do("/etc/init.d/nginx", "upgrade")
    until(lambda: len(masters(stock)) == 1 and masters(stock) != before, "the new master alone")
    assert get(stock) == (200, "stock")
    stock.do("/etc/init.d/nginx", "status")


def test_debians_unit_stops_it(stock):
    began = time.monotonic()
    stock.do("systemctl", "stop", "nginx")
    assert time.monotonic() - began < 5
    assert masters(stock) == [] and not stock.host("/run/nginx.pid").exists()
    stock.do("systemctl", "start", "nginx")
    assert get(stock) == (200, "stock")


@pytest.fixture(scope="module")
def bare(possible):
    """The next Debian, with a systemd that knows `notify-reload`, and no web server."""

    def furnish(root):
        for version in ("0.1.0", "0.1.1"):
            made = subprocess.run(
                [ROOT / "tools/deb/build", BINARY], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RNGINX_VERSION": version},
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )
            assert made.returncode == 0, made.stderr
            package = ROOT / made.stdout.strip()
            (root / "root" / f"{version}.deb").write_bytes(package.read_bytes())
            package.unlink()

    machine = start("bare", BARE, furnish)
    yield machine
    machine.power_off()


def test_our_package_installs_and_serves(bare):
    bare.do("dpkg", "--install", "/root/0.1.0.deb")
    until(lambda: bare.state("nginx") == "active", "nginx.service")
    status, page = get(bare)
    assert status == 200 and "It serves." in page
    assert bare.do("nginx", "-v").startswith("nginx version: nginx/1.28.3 (rnginx/")
    assert bare.do("systemctl", "is-enabled", "nginx").strip() == "enabled"
    for file in ("/usr/share/man/man8/nginx.8.gz", "/usr/share/bash-completion/completions/rnginx", "/etc/logrotate.d/nginx"):
        assert bare.host(file).exists(), file
    bare.do("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/nginx.service")


def test_our_unit_reloads_by_notify_reload(bare):
    bare.drop_in("nginx", "Type=notify-reload\nExecReload=")
    bare.host("/etc/nginx/conf.d/answer.conf").write_text("server { listen 8080; return 200 new; }\n")
    bare.do("systemctl", "reload", "nginx")
    assert get(bare, port=8080) == (200, "new"), "the reload is over when systemctl returns"
    bare.host("/etc/nginx/conf.d/answer.conf").unlink()
    bare.drop_in("nginx", "")


def test_our_unit_serves_on_a_socket_of_systemd(bare):
    bare.host("/etc/systemd/system/nginx.socket").write_text("[Socket]\nListenStream=0.0.0.0:80\n[Install]\nWantedBy=sockets.target\n")
    bare.host("/etc/nginx/sites-available/default").write_text("server { listen 80; return 200 activated; }\n")
    bare.do("systemctl", "stop", "nginx")
    bare.do("systemctl", "daemon-reload")
    bare.do("systemctl", "start", "nginx.socket")
    assert masters(bare) == []
    assert get(bare) == (200, "activated"), "the first request starts it"
    assert len(masters(bare)) == 1
    bare.do("systemctl", "stop", "nginx.socket", "nginx")
    bare.host("/etc/systemd/system/nginx.socket").unlink()
    bare.do("systemctl", "daemon-reload")
    bare.do("systemctl", "start", "nginx")


def test_our_package_is_upgraded_without_a_lost_connection(bare):
    bare.host("/etc/nginx/sites-available/default").write_text("server { listen 80; return 200 mine; }\n")
    bare.do("systemctl", "reload", "nginx")
    before = masters(bare)
    bare.do("dpkg", "--install", "/root/0.1.1.deb")
    until(lambda: len(masters(bare)) == 1 and masters(bare) != before, "the new master alone")
    assert get(bare) == (200, "mine"), "the site is as it was"
    until(lambda: bare.state("nginx") == "active", "the unit follows the new master")
    main = bare.do("systemctl", "show", "--property=MainPID", "--value", "nginx").strip()
    assert [int(main)] == masters(bare)


def test_our_package_goes(bare):
    bare.do("dpkg", "--remove", "rnginx")
    assert masters(bare) == [] and not bare.host("/usr/sbin/nginx").exists()
    assert bare.host("/etc/nginx/sites-available/default").exists()
    bare.do("dpkg", "--purge", "rnginx")
    assert not bare.host("/var/lib/nginx").exists()
    assert "rnginx" not in bare.do("dpkg", "--list")
