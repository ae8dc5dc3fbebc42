"""The shop on PostgreSQL, by DATABASE_URL alone. Needs Debian's server binaries; a cluster is made for the test."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from stack import Data, Process, Stack
from visitor import Visitor

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
pytestmark = pytest.mark.skipif(not PROGRAMS, reason="no PostgreSQL server here")


@pytest.fixture(scope="module")
def cluster():
    """A PostgreSQL that listens on a UNIX socket only; its URL. It refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="my_shop_pg."))
    folder.chmod(0o755)
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    programs = PROGRAMS[-1].parent
    subprocess.run(
        [*user, programs / "initdb", "-D", folder / "data", "-U", "shop", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
        check=True, capture_output=True,
    )
    server = Process([*user, programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses="], folder / "log")
    try:
        server.wait_for(folder / ".s.PGSQL.5432")
        yield f"postgres://shop@/postgres?host={folder}"
    finally:
        # runuser passes SIGTERM on; PostgreSQL then waits for clients, which have gone.
        server.stop(signal.SIGTERM)
        shutil.rmtree(folder)


def test_letters_and_goods_are_in_postgresql(cluster):
    folder = Path(tempfile.mkdtemp(prefix="my_shop_data."))
    folder.chmod(0o755)
    data = Data(folder, cluster)
    try:
        data.manage("set_up_demo")
        assert not (folder / "db.sqlite3").exists()
        with Stack(data, "my_shop.conf") as stack:
            visitor = Visitor(stack.port)
            assert "Tô sứ cánh sen" in visitor.get("/san-pham/?q=to+su").text
            letter = {"name": "Út", "email": "ut@example.vn", "text": "Gửi về Cần Thơ"}
            assert visitor.post("/lien-he/", letter).status == 302
        code = "from home.models import Message; from django.db import connection; print(connection.vendor, *Message.objects.values_list('text'))"
        assert data.manage("shell", "-v0", "-c", code) == "postgresql ('Gửi về Cần Thơ',)\n"
    finally:
        shutil.rmtree(folder)
