"""Settings of the shop. Every choice that differs between machines is one environment variable."""

import os
import secrets
from pathlib import Path

from my_shop import database

BASE_DIR = Path(__file__).resolve().parent.parent
# Where the shop writes: the database, media/, staticfiles/, the secret key.
DATA_DIR = Path(os.environ.get("MY_SHOP_DATA", BASE_DIR))


def listed(name: str, default: str = "") -> list[str]:
    """The comma-separated values of an environment variable."""
    return [value.strip() for value in os.environ.get(name, default).split(",") if value.strip()]


def secret_key(file: Path) -> str:
    """The key of this installation, made at first use and readable by its owner only."""
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return file.read_text()


SECRET_KEY = os.environ.get("SECRET_KEY") or secret_key(DATA_DIR / "secret_key")
DEBUG = os.environ.get("MY_SHOP_DEBUG") == "1"

# `proxy_pass http://unix:…` alone sends `Host: localhost`, whatever the browser asked for. A site with
# `proxy_set_header Host $http_host` sends the real name, which then has to be in MY_SHOP_HOSTS.
ALLOWED_HOSTS = listed("MY_SHOP_HOSTS", "localhost,127.0.0.1,[::1]")
# A browser's `Origin: http://localhost:8000` does not equal that Host, so a POST needs the origin named here.
CSRF_TRUSTED_ORIGINS = listed("MY_SHOP_ORIGINS", "http://localhost,http://127.0.0.1")

# Only behind a server that sets X-Forwarded-* itself may they be believed.
BEHIND_PROXY = os.environ.get("MY_SHOP_BEHIND_PROXY") == "1"
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "home",
    "products",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "my_shop.urls"
WSGI_APPLICATION = "my_shop.wsgi.application"
ASGI_APPLICATION = "my_shop.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "products.context.shelves",
            ]
        },
    }
]

DATABASES = {"default": database.from_url(os.environ.get("DATABASE_URL"), DATA_DIR / "db.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "vi"
TIME_ZONE = "Asia/Ho_Chi_Minh"
USE_TZ = True
# Django knows the Vietnamese separators, but not that digits come in threes.
NUMBER_GROUPING = 3

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "staticfiles"
MEDIA_URL = "/media/"
MEDIA_ROOT = DATA_DIR / "media"
# Uploads must be readable by the web server, whose user is another one.
FILE_UPLOAD_PERMISSIONS = 0o644
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "WARNING"}},
}
