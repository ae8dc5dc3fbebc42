"""The booted machine; its helpers lie beside the shop's tests."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shop"))


@pytest.fixture(scope="session")
def possible():
    missing = [program for program in ("debootstrap", "systemd-nspawn", "nsenter") if not shutil.which(program)]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root{' and ' if missing else ''}{', '.join(missing)}")


@pytest.fixture(scope="session")
def machine(possible):
    from machine import Machine

    booted = Machine()
    yield booted
    booted.power_off()
