"""The container image without an engine: the steps of `Dockerfile`, and what they make, as the first process of a
namespace of its own, with its own ports, its logs on pipes, ended by the signal that `STOPSIGNAL` names."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from stack import BINARY, ROOT, until

# A container engine brings these.
MOUNTS = "mount --rbind /dev $0/dev && mount -t proc proc $0/proc && ip link set lo up && cd / && "
ADDRESS = "http://127.0.0.1"


def steps(stage):
    """The instructions of a stage: words and rest of each; the last stage has no name."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", "")
    stages = re.split(r"(?m)^FROM ", text)[1:]
    named = {(re.search(r" AS (\w+)", one.splitlines()[0]) or [None, ""])[1]: one for one in stages}
    return [line.split(maxsplit=1) for line in named[stage].splitlines()[1:] if line]


def is_static(binary):
    return "statically linked" in subprocess.run(["ldd", binary], capture_output=True, text=True).stdout


def copy_libraries(root):
    """What a static program has in itself."""
    listed = subprocess.run(["ldd", BINARY], capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", listed):
        (root / library.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library.lstrip("/"))


def copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


class Image:
    """What the steps of a stage make of a folder."""

    def __init__(self, stage, root, built):
        self.root, self.entrypoint, self.command, self.signal = root, [], [], None
        for word, rest in steps(stage):
            match word:
                case "COPY":
                    self.copy(rest.split(), built)
                case "RUN" if rest.startswith("apt-get "):
                    pass  # The folder has the packages.
                case "RUN":
                    subprocess.run(["chroot", root, "/bin/sh", "-c", rest], check=True, capture_output=True)
                case "ENTRYPOINT":
                    self.entrypoint = json.loads(rest)
                case "CMD":
                    self.command = json.loads(rest)
                case "STOPSIGNAL":
                    self.signal = signal.Signals[rest]
                case _:
                    assert word == "EXPOSE", word

    def copy(self, words, built):
        *options, source, target = words
        come_from = built / source.removeprefix("/image").lstrip("/") if options == ["--from=build"] else ROOT / source
        copy(come_from, self.root / target.lstrip("/"))


class Container:
    started = []

    def __init__(self, image, environment=(), command=None):
        self.image = image
        words = [*image.entrypoint, *(command or image.command)]
        (image.root / "dev").mkdir(exist_ok=True)
        (image.root / "proc").mkdir(exist_ok=True)
        namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--net", "--ipc", "--uts"]
        within = MOUNTS + f"exec chroot $0 {shlex.join(words)}"
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {"PATH": path, "RNGINX_LAYOUT": "official", **dict(environment)}
        self.process = subprocess.Popen(
            [*namespaces, "sh", "-c", within, image.root], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment,
        )
        self.started.append(self.process)

    def first(self):
        """The number, out here, of the process that is number 1 in there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def get(self, path="/"):
        """Body and status of an answer, asked inside; nothing where nobody listens."""
        curl = ["nsenter", f"--target={self.first()}", "--net", "curl", "-s", "-w", " %{http_code}", ADDRESS + path]
        return subprocess.run(curl, capture_output=True, text=True).stdout.removesuffix(" 000")

    def do(self, *words):
        """As `docker exec`."""
        inside = ["nsenter", f"--target={self.first()}", "--pid", "--mount", "--net", "--root", "--wd=/", *words]
        done = subprocess.run(inside, capture_output=True, text=True, env={"RNGINX_LAYOUT": "official"})
        return done.returncode, done.stdout + done.stderr

    def stop(self):
        """Its exit status, and what it said."""
        os.kill(self.first(), self.image.signal)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def end_all():
    """What a test that failed has left running."""
    for process in Container.started:
        if process.poll() is None:
            process.kill()  # Its first process goes with it.
            process.wait()
    Container.started.clear()


@pytest.fixture
def built(possible, tmp_path):
    """What the stage that compiles leaves in /image, but for the compiler's work."""
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    run = next(rest for word, rest in steps("build") if word == "RUN")
    assert run.startswith("cargo build --release --locked --bin rnginx --target ")
    layout = run.rsplit("&&", 1)[1].split()
    assert layout[1] == "/image"
    image = tmp_path / "image"
    subprocess.run([ROOT / layout[0], image, BINARY], check=True)
    yield image
    end_all()


@pytest.fixture
def scratch(built, tmp_path):
    root = tmp_path / "scratch"
    root.mkdir()
    image = Image("", root, built)
    if not is_static(BINARY):
        copy_libraries(root)
    return image


@pytest.fixture
def debian(built):
    from machine import Tree, bootstrap
    from test_debian import STOCK

    tree = Tree(bootstrap(*STOCK))
    shutil.rmtree(tree.root / "etc/nginx")
    shutil.rmtree(tree.root / "var/log/nginx")
    yield Image("entrypoint", tree.root, built)
    end_all()
    tree.remove()


def workers(container):
    """The users of a container's workers, and their titles."""
    command = ["ps", "-o", "uid=,args=", "--ppid", str(container.first())]
    return subprocess.run(command, capture_output=True, text=True).stdout.split(maxsplit=1)


def test_from_scratch_it_serves_reloads_and_ends(scratch):
    container = Container(scratch)
    until(lambda: container.get().endswith(" 200"), "the page")
    assert "It serves." in container.get()
    (scratch.root / "etc/nginx/conf.d/default.conf").write_text("server { listen 80; return 200 mine; }\n")
    status, said = container.do("/usr/sbin/nginx", "-s", "reload")
    assert status == 0 and "[notice]" in said and "signal process started" in said
    assert container.get("/there") == "mine 200"
    assert container.do("/usr/sbin/nginx", "-s", "reopen")[0] == 0
    assert container.get("/again") == "mine 200"
    assert workers(container) == ["101", "nginx: worker process\n"]
    status, out, err = container.stop()
    assert status == 0
    for path in ("/there", "/again"):
        assert re.search(rf'"GET {path} HTTP/1.1" 200 4 "-" "curl/[^"]+" "-"\n', out), out
    assert "[notice] 1#1: signal 3 (SIGQUIT) received" in err and "[notice] 1#1: exit\n" in err
    assert "[alert]" not in err and "[emerg]" not in err


def test_workers_run_as_nginx_where_no_user_is_named(scratch):
    conf = scratch.root / "etc/nginx/nginx.conf"
    text, named = re.subn(r"^user  nginx;\n", "", conf.read_text())
    assert named == 1
    conf.write_text(text)
    container = Container(scratch)
    until(lambda: container.get().endswith(" 200"), "the page")
    assert workers(container) == ["101", "nginx: worker process\n"]
    assert container.stop()[0] == 0


def test_a_user_that_is_missing_is_nginx_error(scratch):
    (scratch.root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/false\n")
    container = Container(scratch)
    out, err = container.process.communicate(timeout=20)
    assert container.process.returncode == 1
    assert '[emerg] 1#1: getpwnam("nginx") failed in /etc/nginx/nginx.conf:1\n' in err


def test_the_entrypoint_runs_scripts_and_fills_templates_in(debian):
    root = debian.root
    (root / "etc/nginx/templates/more").mkdir(parents=True)
    template = 'server { listen 80; location / { add_header X-Host $host; return 200 "${GREETING} $uri ${NOT_SET}"; } }\n'
    (root / "etc/nginx/templates/default.conf.template").write_text(template)
    (root / "etc/nginx/templates/more/a.conf.template").write_text("# resolver ${NGINX_LOCAL_RESOLVERS};\n")
    (root / "etc/resolv.conf").write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    scripts = root / "docker-entrypoint.d"
    (scripts / "05-greeting.envsh").write_text("export GREETING=hello\n")
    # It leaves a child behind, as scripts do: the first process has to see it off.
    (scripts / "40-own.sh").write_text("#!/bin/sh\necho own $GREETING\n(sleep 2 &)\n")
    for name in ("05-greeting.envsh", "40-own.sh"):
        (scripts / name).chmod(0o755)
    (scripts / "50-not.sh").write_text("#!/bin/sh\necho not run\n")
    (scripts / "readme.txt").write_text("not run either\n")
    settings = {"NGINX_ENTRYPOINT_LOCAL_RESOLVERS": "1", "NGINX_ENTRYPOINT_WORKER_PROCESSES_AUTOTUNE": "1"}
    container = Container(debian, {**settings, "HOSTNAME": "box"})
    # What is not set is no variable of nginx either: it says so, and does not start.
    out, err = container.process.communicate(timeout=40)
    assert container.process.returncode == 1 and '[emerg] 1#1: unknown "not_set" variable' in err
    container = Container(debian, {**settings, "NOT_SET": "set"})
    until(lambda: container.get().endswith(" 200"), "the page")
    assert container.get("/path") == "hello /path set 200"
    written = (root / "etc/nginx/conf.d/default.conf").read_text()
    assert "add_header X-Host $host;" in written
    assert (root / "etc/nginx/conf.d/more/a.conf").read_text() == "# resolver 192.0.2.1 [2001:db8::1];\n"
    assert re.search(r"(?m)^worker_processes  \d+;", (root / "etc/nginx/nginx.conf").read_text())

    def children():
        listed = subprocess.run(["ps", "-o", "comm=", "--ppid", str(container.first())], capture_output=True, text=True)
        return listed.stdout.split()

    until(lambda: children() == ["nginx"], "the orphan's end")
    status, out, err = container.stop()
    assert status == 0, err
    lines = out.splitlines()
    assert "own hello" in lines and "not run" not in lines
    assert any(line.endswith("50-not.sh may not be executed, left out") for line in lines)
    assert '"GET /path HTTP/1.1" 200 15 ' in out
    assert "unknown process" in err and "exited with code 0" in err and "[alert]" not in err


def test_the_entrypoint_lets_other_commands_alone(debian):
    container = Container(debian, {}, ["sh", "-c", "echo $#"])
    out, err = container.process.communicate(timeout=20)
    assert (container.process.returncode, out, err) == (0, "0\n", "")
