"""Real applications behind the server under test: PHP-FPM, uWSGI with Django, SCGI, memcached, gRPC, each once."""

import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shop"))
from stack import BINARY, Process, free_port, sample_data  # noqa: E402


def pytest_report_header():
    return f"server under test: {BINARY}"


class Place:
    """A folder with the server's files in it, and what runs there. In /tmp, for a UNIX socket's path is short."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="applications."))
        self.folder.chmod(0o755)
        for name in ("logs", "html"):
            (self.folder / name).mkdir()
        self.port = free_port()
        self.running = []

    def start(self, command, address, **options):
        """Runs a program until it takes connections at the address."""
        process = Process(command, self.folder / f"{Path(command[0]).name}.log", **options)
        self.running.append(process)
        process.wait_for(address)
        return process

    def serve(self, configuration):
        """Runs the server with what stands in its `server` block, and in `http` before `---`."""
        http, _, server = configuration.rpartition("---")
        text = (
            f"user root; daemon off; pid {self.folder}/pid;\nevents {{}}\nhttp {{\n"
            f"{http}\nserver {{ listen 127.0.0.1:{self.port}; root {self.folder}/html;\n{server}\n}} }}\n"
        )
        (self.folder / "nginx.conf").write_text(text)
        command = [BINARY, "-p", f"{self.folder}/", "-c", "nginx.conf", "-e", "logs/error.log"]
        self.start(command, self.port)

    def ask(self, path, body=None, **headers):
        """A request's status, headers and body; nothing is raised for a status."""
        address = f"http://127.0.0.1:{self.port}{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(address, data=body, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read()

    def errors(self):
        return (self.folder / "logs/error.log").read_text()

    def stop(self):
        for process in reversed(self.running):
            process.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def place():
    place = Place()
    yield place
    place.stop()


@pytest.fixture(scope="session")
def data():
    with sample_data() as made:
        yield made
