"""In nginx's place on Debian: its own unit, init script and logrotate file unchanged, and our package in its package's."""

import re
import subprocess
import threading
import time

import pytest
from stack import BINARY, ROOT, until

STOCK = ("bookworm", "systemd,systemd-sysv,nginx-common,logrotate,procps,lsof,gettext-base,ufw")
TRIXIE = ("trixie", "systemd,systemd-sysv,nginx,logrotate,procps,init-system-helpers,ufw,bash-completion")

# As people install a file; nothing is fetched, for the machine is on no network.
APT = "DEBIAN_FRONTEND=noninteractive apt-get install -q -y"


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


def test_debians_init_script_does_all_that_it_can(stock):
    script = ["env", "SYSTEMCTL_SKIP_REDIRECT=1", "/etc/init.d/nginx"]
    stock.do("systemctl", "stop", "nginx")
    for action in ("configtest", "start", "status", "rotate", "reload", "force-reload", "upgrade", "restart"):
        stock.do(*script, action)
        if action != "configtest":
            until(lambda: len(masters(stock)) == 1, f"one master after {action}")
            assert get(stock) == (200, "stock"), action
    stock.host("/etc/nginx/conf.d/broken.conf").write_text("oops\n")
    assert stock.enter(*script, "configtest")[0] != 0 and stock.enter(*script, "restart")[0] != 0
    assert get(stock) == (200, "stock"), "a broken file stops nobody"
    stock.host("/etc/nginx/conf.d/broken.conf").unlink()
    stock.do(*script, "stop")
    assert masters(stock) == [] and stock.enter(*script, "status")[0] != 0
    stock.do("systemctl", "start", "nginx")


def test_debians_unit_stops_it(stock):
    began = time.monotonic()
    stock.do("systemctl", "stop", "nginx")
    assert time.monotonic() - began < 5
    assert masters(stock) == [] and not stock.host("/run/nginx.pid").exists()
    stock.do("systemctl", "start", "nginx")
    assert get(stock) == (200, "stock")


@pytest.fixture(scope="module")
def trixie(possible):
    """The next Debian, with a systemd that knows `notify-reload`, and its own nginx, which serves a site."""
    from machine import within

    def keep_packages(making):
        within(making, "sh", "-c", "apt-get update -q && cd /root && apt-get download -q nginx nginx-common")

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
        (root / "etc/nginx/conf.d/site.conf").write_text("server { listen 81; return 200 site; }\n")
        (root / "etc/systemd/system.conf.d").mkdir()
        (root / "etc/systemd/system.conf.d/often.conf").write_text("[Manager]\nDefaultStartLimitBurst=1000\n")

    machine = start("trixie", (*TRIXIE, "nginx nginx-common", keep_packages), furnish)
    yield machine
    machine.power_off()


def tree(machine):
    """All files of /etc/nginx: who may do what with them, where links lead, what is in them."""
    return machine.do(
        "sh", "-c", "cd /etc/nginx && find . ! -type d -printf '%M %u %g %p %l\\n' | sort; find . -type f | sort | xargs md5sum"
    )


def test_our_package_takes_the_place_of_debians_nginx(trixie):
    until(lambda: trixie.state("nginx") == "active", "Debian's nginx.service")
    assert get(trixie, port=81) == (200, "site") and trixie.do("nginx", "-v").startswith("nginx version: nginx/1.26.")
    page, before = get(trixie), tree(trixie)
    trixie.do("sh", "-c", f"{APT} /root/0.1.0.deb")
    until(lambda: trixie.state("nginx") == "active", "our nginx.service")
    assert trixie.do("nginx", "-v").startswith("nginx version: nginx/1.28.3 (rnginx/")
    assert (get(trixie), get(trixie, port=81)) == (page, (200, "site"))
    assert tree(trixie) == before, "nothing in /etc/nginx is touched"
    assert trixie.enter("nginx", "-tq") == (0, "")
    assert trixie.do("systemctl", "is-enabled", "nginx").strip() == "enabled"
    status = trixie.do("systemctl", "status", "--no-pager", "nginx")
    assert "Active: active (running)" in status and "nginx: worker process" in status
    trixie.do("systemctl", "restart", "nginx")
    trixie.do("systemctl", "reload", "nginx")
    trixie.do("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/nginx.service")


def test_our_package_has_what_programs_look_for(trixie):
    for file in ("/usr/share/man/man8/nginx.8.gz", "/usr/share/zsh/vendor-completions/_rnginx", "/etc/logrotate.d/nginx"):
        assert trixie.host(file).exists(), file
    assert "80,443/tcp" in trixie.do("ufw", "app", "info", "Nginx Full")
    completed = trixie.do(
        "bash", "-c", "source /usr/share/bash-completion/bash_completion; _comp_load rnginx 2>/dev/null || _load_comp rnginx;"
        " COMP_WORDS=(rnginx ch) COMP_CWORD=1 COMP_LINE='rnginx ch' COMP_POINT=9;"
        " $(complete -p rnginx | sed 's/.*-F \\([^ ]*\\).*/\\1/') rnginx ch rnginx; echo \"${COMPREPLY[@]}\"",
    )
    assert completed.split() == ["check"]
    # The files that Debian's package leaves behind go on working: `service`, and logrotate by way of the init script.
    trixie.do("service", "nginx", "configtest")
    get(trixie, "/before")
    trixie.do("logrotate", "--force", "/etc/logrotate.d/nginx")

    def logged():
        get(trixie, "/after")
        return " /after " in trixie.host("/var/log/nginx/access.log").read_text()

    until(logged, "a line in the new log")


def test_our_unit_reloads_by_notify_reload(trixie):
    trixie.drop_in("nginx", "Type=notify-reload\nExecReload=")
    trixie.host("/etc/nginx/conf.d/answer.conf").write_text("server { listen 8080; return 200 new; }\n")
    trixie.do("systemctl", "reload", "nginx")
    assert get(trixie, port=8080) == (200, "new"), "the reload is over when systemctl returns"
    trixie.host("/etc/nginx/conf.d/answer.conf").unlink()
    trixie.drop_in("nginx", "")


def test_our_unit_serves_on_a_socket_of_systemd(trixie):
    trixie.host("/etc/systemd/system/nginx.socket").write_text("[Socket]\nListenStream=0.0.0.0:80\n[Install]\nWantedBy=sockets.target\n")
    trixie.host("/etc/nginx/sites-available/default").write_text("server { listen 80; return 200 activated; }\n")
    trixie.do("systemctl", "stop", "nginx")
    trixie.do("systemctl", "daemon-reload")
    trixie.do("systemctl", "start", "nginx.socket")
    assert masters(trixie) == []
    assert get(trixie) == (200, "activated"), "the first request starts it"
    assert len(masters(trixie)) == 1
    trixie.do("systemctl", "stop", "nginx.socket", "nginx")
    trixie.host("/etc/systemd/system/nginx.socket").unlink()
    trixie.do("systemctl", "daemon-reload")
    trixie.do("systemctl", "start", "nginx")


def main_process(machine):
    return int(machine.do("systemctl", "show", "--property=MainPID", "--value", "nginx"))


def test_systemd_brings_it_back_when_it_dies_or_sleeps(trixie):
    trixie.drop_in("nginx", "WatchdogSec=2\nRestartSec=100ms\nTimeoutStopSec=1")
    for signal in ("KILL", "STOP"):
        before = main_process(trixie)
        trixie.do("kill", f"-{signal}", str(before))
        until(lambda: main_process(trixie) not in (0, before) and trixie.state("nginx") == "active", f"another after {signal}")
        assert get(trixie, port=81) == (200, "site")
        assert masters(trixie) == [main_process(trixie)], "nothing is left of the old one"
    assert "Watchdog timeout" in trixie.do("journalctl", "--unit=nginx", "--no-pager")
    trixie.drop_in("nginx", "")


def test_our_package_is_upgraded_without_a_lost_connection(trixie):
    trixie.host("/etc/nginx/sites-available/default").write_text("server { listen 80; return 200 mine; }\n")
    trixie.do("systemctl", "reload", "nginx")
    before, answers, over = masters(trixie), [], threading.Event()

    def visit():
        while not over.is_set():
            try:
                answers.append(get(trixie))
            except OSError as error:
                answers.append(error)

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    try:
        trixie.do("dpkg", "--install", "/root/0.1.1.deb")
        until(lambda: len(masters(trixie)) == 1 and masters(trixie) != before, "the new master alone")
        served = len(answers)
        until(lambda: len(answers) > served + 8, "answers of the new one")
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    assert set(answers) == {(200, "mine")}, "the site is as it was, and always there"
    until(lambda: trixie.state("nginx") == "active", "the unit follows the new master")
    assert [main_process(trixie)] == masters(trixie)
    images = trixie.do("sh", "-c", "ls -l /proc/[0-9]*/exe 2>/dev/null || true")
    assert "/usr/sbin/rnginx\n" in images and "(deleted)" not in images, "nothing that needs a restart"


def test_debians_nginx_takes_its_place_back(trixie):
    before = tree(trixie)
    trixie.do("dpkg", "--remove", "rnginx")  # As apt does first.
    trixie.do("sh", "-c", "dpkg --install /root/nginx*.deb")
    until(lambda: trixie.state("nginx") == "active", "Debian's nginx.service")
    assert trixie.do("nginx", "-v").startswith("nginx version: nginx/1.26.")
    assert get(trixie, port=81) == (200, "site") and tree(trixie) == before
    trixie.do("dpkg", "--install", "/root/0.1.1.deb")
    until(lambda: trixie.state("nginx") == "active", "our nginx.service")
    assert get(trixie, port=81) == (200, "site")


def test_our_package_goes(trixie):
    trixie.do("dpkg", "--remove", "rnginx")
    assert masters(trixie) == [] and not trixie.host("/usr/sbin/nginx").exists()
    assert trixie.host("/etc/nginx/sites-available/default").exists()
    trixie.do("dpkg", "--purge", "rnginx")
    assert not trixie.host("/var/lib/nginx").exists()
    assert "rnginx" not in trixie.do("dpkg", "--list")


def test_our_package_serves_where_nothing_was(trixie):
    trixie.do("sh", "-c", "dpkg --purge nginx-common; rm -rf /etc/nginx /var/www/html /etc/init.d/nginx /etc/logrotate.d/nginx")
    trixie.do("dpkg", "--install", "/root/0.1.1.deb")
    until(lambda: trixie.state("nginx") == "active", "nginx.service")
    status, page = get(trixie)
    assert status == 200 and "It serves." in page
    for file in ("/etc/init.d/nginx", "/etc/logrotate.d/nginx", "/etc/ufw/applications.d/nginx"):
        assert trixie.host(file).exists(), file
    # Our own script, for systems without systemd.
    script = ["env", "SYSTEMCTL_SKIP_REDIRECT=1", "/etc/init.d/nginx"]
    trixie.do("systemctl", "stop", "nginx")
    for action in ("configtest", "start", "status", "rotate", "upgrade", "reload", "restart"):
        trixie.do(*script, action)
        if action not in ("configtest",):
            until(lambda: len(masters(trixie)) == 1, f"one master after {action}")
            assert get(trixie)[0] == 200, action
    trixie.do(*script, "stop")
    assert masters(trixie) == [] and trixie.enter(*script, "status")[0] != 0
    assert trixie.enter(*script, "nonsense")[0] == 3
    trixie.do("systemctl", "start", "nginx")
