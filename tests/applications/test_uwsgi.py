"""The Django shop in uWSGI."""

import re
import sys
from pathlib import Path

import pytest
from stack import SHOP


@pytest.fixture(scope="module", autouse=True)
def uwsgi(place, data):
    program = Path(sys.executable).parent / "pyuwsgi"
    if not program.exists():
        pytest.skip("uWSGI is not here: tests/run installs it")
    environment = {**data.environment, "MY_SHOP_ORIGINS": f"http://127.0.0.1:{place.port}"}
    place.start(
        [str(program), "--socket", f"{place.folder}/uwsgi.sock", "--chmod-socket=666", "--chdir", str(SHOP),
         "--module", "my_shop.wsgi", "--virtualenv", sys.prefix, "--master", "--processes", "2", "--die-on-term",
         "--need-app"],
        place.folder / "uwsgi.sock", env=environment,
    )
    place.serve(f"""
        location / {{
            uwsgi_pass unix:{place.folder}/uwsgi.sock;
            uwsgi_param QUERY_STRING $query_string;
            uwsgi_param REQUEST_METHOD $request_method;
            uwsgi_param CONTENT_TYPE $content_type;
            uwsgi_param CONTENT_LENGTH $content_length;
            uwsgi_param REQUEST_URI $request_uri;
            uwsgi_param PATH_INFO $document_uri;
            uwsgi_param SERVER_PROTOCOL $server_protocol;
            uwsgi_param REMOTE_ADDR $remote_addr;
            uwsgi_param SERVER_PORT $server_port;
            uwsgi_param SERVER_NAME $server_name;
        }}
    """)


def test_pages_and_forms(place):
    status, headers, body = place.ask("/admin/login/?next=/admin/")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', body)[1].decode()
    cookie = headers["Set-Cookie"].split(";")[0]
    form = f"csrfmiddlewaretoken={token}&username=nobody&password=wrong".encode()
    status, _, body = place.ask("/admin/login/?next=/admin/", form, Cookie=cookie)
    assert status == 200 and b"errornote" in body
    assert place.ask("/admin/login/", form)[0] == 403
    assert place.ask("/nowhere-at-all/")[0] == 404
