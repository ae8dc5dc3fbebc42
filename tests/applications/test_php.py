"""PHP-FPM behind Debian's own `snippets/fastcgi-php.conf` and `fastcgi.conf`, as the package has them."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

PHP = shutil.which("php-fpm8.2") or shutil.which("php-fpm8.4")
DEBIAN = Path(os.environ.get("DEBIAN_NGINX") or Path(__file__).resolve().parents[2] / "target/debian-nginx") / "etc/nginx"

POOL = """[global]
error_log = {folder}/php.log
daemonize = no
[www]
listen = {folder}/php.sock
listen.mode = 0666
pm = static
pm.max_children = 2
catch_workers_output = yes
"""

SHOW = """<?php
header('X-Powered-By: ' . 'PHP');
header('Content-Type: application/json');
setcookie('a', '1'); setcookie('b', '2');
echo json_encode(['server' => $_SERVER, 'get' => $_GET, 'post' => $_POST, 'body' => md5(file_get_contents('php://input'))]);
"""

SCRIPTS = {
    "index.php": SHOW,
    "gone.php": "<?php http_response_code(404); echo 'not here';",
    "away.php": "<?php header('Location: /elsewhere');",
    "warns.php": "<?php error_log('something is odd.'); echo 'warned';",
    "fails.php": "<?php throw new Exception('broken');",
    "large.php": "<?php for ($i = 0; $i < 3000; $i++) echo str_repeat(chr(97 + $i % 26), 1000);",
    "streams.php": "<?php header('X-Accel-Buffering: no'); for ($i = 0; $i < 3; $i++) { echo \"line $i\\n\"; flush(); usleep(20000); }",
    "upload.php": "<?php $f = $_FILES['f']; echo $f['size'], ' ', md5_file($f['tmp_name']);",
    "inside.php": "<?php header('X-Accel-Redirect: /internal/file.txt');",
}


@pytest.fixture(scope="module", autouse=True)
def php(place):
    if not PHP or not DEBIAN.is_dir():
        pytest.skip("PHP-FPM or the files of Debian's nginx are not here: tests/run installs them")
    # Relative includes are looked for beside nginx.conf.
    shutil.copytree(DEBIAN, place.folder, dirs_exist_ok=True)
    for name, script in SCRIPTS.items():
        (place.folder / "html" / name).write_text(script)
    (place.folder / "html/internal").mkdir()
    (place.folder / "html/internal/file.txt").write_text("from a file\n")
    (place.folder / "pool.conf").write_text(POOL.format(folder=place.folder))
    place.start([PHP, "-R", "-F", "-y", f"{place.folder}/pool.conf"], place.folder / "php.sock")
    place.serve(f"""
        client_max_body_size 20m;
        index index.php;
        location / {{ try_files $uri $uri/ /index.php?$args; }}
        location /internal/ {{ internal; }}
        location ~ ^/kept(?<script>/.*\\.php)$ {{
            include fastcgi.conf;
            fastcgi_param SCRIPT_FILENAME $document_root$script;
            fastcgi_request_buffering off;
            fastcgi_pass unix:{place.folder}/php.sock;
        }}
        location ~ \\.php$ {{ include snippets/fastcgi-php.conf; fastcgi_pass unix:{place.folder}/php.sock; }}
    """)


def test_a_script_is_told_of_the_request(place):
    status, headers, body = place.ask("/index.php/path/info?x=y&z=1", X_Asked="yes", Cookie="c=d")
    told = json.loads(body)
    server = told["server"]
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert told["get"] == {"x": "y", "z": "1"}
    assert server["SCRIPT_FILENAME"] == f"{place.folder}/html/index.php"
    assert server["SCRIPT_NAME"] == "/index.php"
    assert server["REQUEST_URI"] == "/index.php/path/info?x=y&z=1"
    assert server["HTTP_X_ASKED"] == "yes" and server["HTTP_COOKIE"] == "c=d"
    assert server["SERVER_PORT"] == str(place.port) and server["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert server["REMOTE_ADDR"] == "127.0.0.1" and "HTTPS" not in server


def test_pretty_addresses_reach_the_front_script(place):
    told = json.loads(place.ask("/blog/2026/post?x=y")[2])
    assert told["server"]["SCRIPT_NAME"] == "/index.php" and told["get"] == {"x": "y"}
    assert json.loads(place.ask("/")[2])["server"]["DOCUMENT_URI"] == "/index.php"
    assert place.ask("/missing.php")[0] == 404


def test_forms_and_large_bodies_arrive_whole(place):
    told = json.loads(place.ask("/index.php", b"a=1&b=2")[2])
    assert told["post"] == {"a": "1", "b": "2"} and told["server"]["CONTENT_LENGTH"] == "7"
    large = bytes(range(256)) * 20000
    for path in ("/index.php", "/kept/index.php"):
        told = json.loads(place.ask(path, large, Content_Type="application/octet-stream")[2])
        assert told["body"] == hashlib.md5(large).hexdigest(), path


def test_files_are_uploaded(place):
    content = b"picture" * 30000
    part = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + content + b"\r\n--B--\r\n"
    answer = place.ask("/upload.php", part, Content_Type="multipart/form-data; boundary=B")[2]
    assert answer.decode() == f"{len(content)} {hashlib.md5(content).hexdigest()}"


def test_answers_of_all_kinds(place):
    status, _, body = place.ask("/gone.php")
    assert (status, body) == (404, b"not here")
    assert place.ask("/fails.php")[0] == 500
    assert "PHP Fatal error:  Uncaught Exception: broken" in place.errors()
    assert place.ask("/streams.php")[2] == b"line 0\nline 1\nline 2\n"
    body = place.ask("/large.php")[2]
    assert len(body) == 3_000_000 and body[-1000:] == bytes([97 + 2999 % 26]) * 1000
    assert place.ask("/inside.php")[2] == b"from a file\n"


def test_what_a_script_says_reaches_the_error_log(place):
    assert place.ask("/warns.php")[2] == b"warned"
    assert 'FastCGI sent in stderr: "PHP message: something is odd" while reading response header' in place.errors()
