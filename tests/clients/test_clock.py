"""The clock jumps: on a kernel of its own (User Mode Linux), so that no other program's clock does.

The test boots it on this machine's files, and `clock.py` runs in it as its first process.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stack import BINARY

INSIDE = Path(__file__).with_name("clock.py")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("linux.uml"), reason="needs root and user-mode-linux")
def test_the_clock_jumps_and_only_dates_follow(tmp_path):
    tmp_path.chmod(0o755)
    init = tmp_path / "init"
    init.write_text(f"#!/bin/sh\nexec {sys.executable} {INSIDE} {BINARY} {tmp_path}\n")
    init.chmod(0o755)
    kernel = ["linux.uml", "mem=384M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}",
              "con=null", "con0=fd:0,fd:1"]
    console = tmp_path / "console"
    with open(console, "wb") as output:
        subprocess.run(kernel, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=120, cwd=tmp_path)
    report = tmp_path / "report.json"
    said = console.read_text(errors="replace")[-3000:]
    if "as init process" not in said and not report.exists():
        pytest.skip("User Mode Linux does not come up on this machine")
    assert report.exists(), said
    found = json.loads(report.read_text())
    log = (tmp_path / "error.log").read_text()
    assert "error" not in found, f"{found['error']}\n{said}\n{log}"
    for jump in found["jumps"]:
        assert abs(jump["date"] - jump["clock"]) <= 2, jump
        assert abs(jump["logged"] - jump["clock"]) <= 2, jump
        assert jump["connections"] == 1, "a kept connection lives on"
        assert jump["limited"] == 503, "no request is let through before its time"
        assert jump["ticks"] < 20, "nothing spins"
    assert [jump["cached"] for jump in found["jumps"]] == ["HIT", "EXPIRED", "HIT", "HIT"]
    # Timers are not moved: a client is let go after `keepalive_timeout`, a backend after `proxy_read_timeout`.
    assert 1.5 <= found["idle"] <= 5, found
    assert found["asleep"][0] == 504 and 1.5 <= found["asleep"][1] <= 5, found
    assert not [line for line in log.splitlines() if "[alert]" in line or "[emerg]" in line], log
