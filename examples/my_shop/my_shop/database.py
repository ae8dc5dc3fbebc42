"""DATABASE_URL: one environment variable names the database."""

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


def from_url(url: str | None, sqlite_file: Path) -> dict:
    """Django's settings for `postgres://USER:PASSWORD@HOST:PORT/NAME`; SQLite in `sqlite_file` without a URL.

    `postgres:///NAME?host=/var/run/postgresql` goes through a UNIX socket, as libpq reads it.
    """
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": sqlite_file,
            # Readers and the one writer do not stop each other, and a writer waits instead of failing.
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ValueError(f"DATABASE_URL: {parts.scheme}:// is not known; use postgres://USER:PASSWORD@HOST:PORT/NAME")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or query.pop("user", "")),
        "PASSWORD": unquote(parts.password or query.pop("password", "")),
        "HOST": query.pop("host", None) or parts.hostname or "",
        "PORT": query.pop("port", None) or parts.port or "",
        "OPTIONS": query,
    }
