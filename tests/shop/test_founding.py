"""The founding document's three location blocks, with real Gunicorn and Django behind them."""

import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from conftest import noise_photo
from stack import PASSWORD, SHOP, Stack, connects, until
from visitor import File, Visitor, raw, refused

CSS = "/static/home/shop.css"
HAT = "/san-pham/nón-lá-huế/"


def test_configuration_is_accepted(founding):
    tested = subprocess.run([*founding.command(), "-t"], capture_output=True, text=True)
    assert tested.returncode == 0
    assert tested.stderr.endswith(
        f"nginx: the configuration file {founding.conf} syntax is ok\n"
        f"nginx: configuration file {founding.conf} test is successful\n"
    )


def test_front_page_comes_from_django(visitor):
    answer = visitor.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Đồ thủ công" in answer.text and "Nón lá Huế" in answer.text
    assert answer.headers["server"].startswith("nginx")


def test_product_page_has_an_accented_address(visitor):
    answer = visitor.get(HAT)
    assert answer.status == 200
    assert "120.000 ₫" in answer.text


@pytest.mark.parametrize("query", ["nón lá", "non la", "HUẾ nón"])
def test_search_passes_the_query_on(visitor, query):
    page = visitor.get(f"/san-pham/?q={query.replace(' ', '+')}").text
    assert re.findall(r"<b>(\D+)</b>", page.split("<main>")[1].split("</main>")[0]) == ["Nón lá Huế"]


def test_static_file_is_the_collected_one(visitor, data):
    answer = visitor.get(CSS)
    assert answer.status == 200
    assert answer.body == (SHOP / "home/static/home/shop.css").read_bytes()
    assert answer.headers["content-type"] == "text/css"
    assert answer.headers["content-length"] == str(len(answer.body))
    stat = (data.folder / "staticfiles/home/shop.css").stat()
    assert answer.headers["etag"] == f'"{int(stat.st_mtime):x}-{stat.st_size:x}"'
    assert answer.headers["accept-ranges"] == "bytes"


def test_static_file_not_modified(visitor):
    fresh = visitor.get(CSS).headers
    for condition in ({"If_None_Match": fresh["etag"]}, {"If_Modified_Since": fresh["last-modified"]}):
        answer = visitor.get(CSS, **condition)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == fresh["etag"]
    assert visitor.get(CSS, If_None_Match='"other"').status == 200


def test_static_file_in_ranges(visitor):
    whole = visitor.get(CSS).body
    part = visitor.get(CSS, Range="bytes=10-29")
    assert (part.status, part.body) == (206, whole[10:30])
    assert part.headers["content-range"] == f"bytes 10-29/{len(whole)}"
    assert visitor.get(CSS, Range="bytes=-7").body == whole[-7:]
    several = visitor.get(CSS, Range="bytes=0-3,8-9")
    assert several.status == 206
    assert several.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert several.body.count(b"Content-Range: bytes ") == 2
    beyond = visitor.get(CSS, Range="bytes=9999999-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")


def test_head_has_no_body(visitor):
    answer = visitor.send("HEAD", CSS)
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_media_file_with_an_accented_name(visitor, data):
    answer = visitor.get("/media/products/nón-lá-huế.jpg")
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.body == (data.folder / "media/products/nón-lá-huế.jpg").read_bytes()


def test_missing_static_file_is_the_servers_404(founding, visitor):
    answer = visitor.get("/static/home/none.css")
    assert answer.status == 404
    assert b"<center><h1>404 Not Found</h1></center>" in answer.body
    line = founding.errors(r'none\.css" failed')
    assert f'open() "{founding.data.folder}/staticfiles/home/none.css" failed (2: No such file or directory)' in line
    assert 'request: "GET /static/home/none.css HTTP/1.1"' in line


def test_folder_is_forbidden(founding, visitor):
    assert visitor.get("/static/home/").status == 403
    assert f'directory index of "{founding.data.folder}/staticfiles/home/" is forbidden' in founding.errors("is forbidden")


@pytest.mark.parametrize("path", ["/static/../secret_key", "/static/%2e%2e/secret_key", "/media/..%2fdb.sqlite3"])
def test_alias_cannot_be_left(founding, path):
    answer = raw(founding.port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.split()[1] == b"404"
    assert (founding.data.folder / "secret_key").read_bytes() not in answer


def test_unknown_page_is_djangos_404(visitor):
    answer = visitor.get("/không-có/")
    assert answer.status == 404
    assert "Không có trang này" in answer.text


def test_django_sees_host_localhost(visitor):
    """Without proxy_set_header nginx sends `Host: localhost`, so a name that Django does not allow passes unseen."""
    assert visitor.send("GET", "/", headers={"Host": "not-allowed.example"}).status == 200


def test_post_without_token_is_refused(visitor):
    answer = visitor.send("POST", "/lien-he/", b"name=x", {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 403


def test_letter_reaches_the_database(founding, visitor):
    answer = visitor.post("/lien-he/", {"name": "Mai Việt", "email": "mai@example.vn", "text": "Còn nón không?"})
    assert (answer.status, answer.headers["location"]) == (302, "/")
    assert "Cảm ơn Mai Việt" in visitor.get("/").text
    # Over the socket and without X-Forwarded-For nobody knows where it came from.
    assert founding.data.rows("SELECT text, address FROM home_message WHERE name = ?", "Mai Việt") == [("Còn nón không?", None)]


def test_order_reaches_the_database(founding, visitor):
    for _ in range(2):
        assert visitor.post("/gio-hang/nón-lá-huế/", {}, page=HAT).headers["location"] == "/gio-hang/"
    assert "240.000 ₫" in visitor.get("/gio-hang/").text
    answer = visitor.post("/gio-hang/", {"name": "Chị Lan", "phone": "0912 345 678", "address": "12 Hàng Gai"})
    assert answer.status == 302
    found = founding.data.rows(
        "SELECT quantity, line.price FROM products_orderline line"
        " JOIN products_order placed ON placed.id = order_id WHERE name = ?", "Chị Lan"
    )
    assert found == [(2, 120_000)]
    assert "Giỏ còn trống" in visitor.get("/gio-hang/").text


def new_photo(visitor, founding, photo, name):
    """Uploads a photo for the basket in the admin; the answer."""
    (key,) = founding.data.rows("SELECT id FROM products_product WHERE slug = 'giỏ-cói-đi-chợ'")[0]
    page = f"/admin/products/product/{key}/change/"
    form = visitor.get(page).text
    fields = {
        field: re.search(rf'name="{field}" value="([^"]*)"', form)[1] for field in ("name", "slug", "origin", "price", "summary", "stock")
    }
    category = re.search(r'<option value="(\d+)" selected>', form)[1]
    return visitor.post(page, {**fields, "category": category, "description": "Cói hai nắng.", "photo": File(name, photo)})


def test_uploaded_photo_is_served(founding, visitor):
    visitor.log_in(PASSWORD)
    photo = noise_photo(400_000)
    assert new_photo(visitor, founding, photo, "ảnh mới.JPG").status == 302
    address = re.search(r'id="photo" src="([^"]+)"', visitor.get("/san-pham/giỏ-cói-đi-chợ/").text)[1]
    assert address.startswith("/media/products/")
    assert visitor.get(address).body == photo


def test_upload_over_a_megabyte_is_413(founding):
    # The server answers before it has read the body.
    answer = refused(founding.port, b"POST /lien-he/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n")
    assert answer.status == 413 and b"413 Request Entity Too Large" in answer.body
    assert "client intended to send too large body: 1048577 bytes" in founding.errors("too large body")


def test_chunked_body_reaches_django_whole(founding, visitor):
    visitor.get("/lien-he/")
    token = visitor.cookies["csrftoken"]
    body = f"csrfmiddlewaretoken={token}&name=Chunked&email=c@example.vn&text={'x' * 1500}".encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:900], body[900:]))
    answer = raw(
        founding.port,
        b"POST /lien-he/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nCookie: csrftoken=" + token.encode() + b"\r\n\r\n"
        + chunks + b"0\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 302 ")
    assert founding.data.rows("SELECT length(text) FROM home_message WHERE name = 'Chunked'") == [(1500,)]


def test_one_connection_serves_both_disk_and_django(founding):
    request = "GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
    pages = [CSS, "/", "/media/products/nón-lá-huế.jpg", "/gio-hang/"]
    pipelined = "".join(request.format(page, "") for page in pages[:-1]) + request.format(pages[-1], "Connection: close\r\n")
    answer = raw(founding.port, pipelined.encode())
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert answer.count(b"Connection: keep-alive\r\n") == 3


def test_access_log_line(founding, visitor):
    visitor.get(CSS, Referer="http://localhost/", User_Agent="thử/1.0".encode("latin-1", "ignore").decode(), X="1")
    size = len(visitor.get(CSS).body)
    line = until(lambda: re.search(r"^.*th/1\.0.*$", founding.access_log.read_text(), re.M), "the access log's line")[0]
    assert re.fullmatch(
        rf'127\.0\.0\.1 - - \[\d\d/\w{{3}}/\d{{4}}:\d\d:\d\d:\d\d [+-]\d{{4}}\] "GET {CSS} HTTP/1\.1" 200 {size} "http://localhost/" "th/1\.0"',
        line,
    )


def test_many_visitors_at_once(founding):
    paths = ["/", CSS, HAT, "/media/products/nón-lá-huế.jpg", "/san-pham/"] * 40

    def visit(path):
        return Visitor(founding.port).get(path).status

    with ThreadPoolExecutor(20) as crowd:
        assert set(crowd.map(visit, paths)) == {200}


def test_reload_keeps_serving(founding):
    visitor = Visitor(founding.port)
    assert visitor.get(CSS).status == 200
    founding.server.child.send_signal(signal.SIGHUP)
    with ThreadPoolExecutor(10) as crowd:
        assert set(crowd.map(lambda _: Visitor(founding.port).get("/").status, range(40))) == {200}


def test_unfinished_uploads_hold_no_worker(data):
    """Gunicorn's one worker is called when a request is whole, so visitors on slow lines do not block it."""
    head = b"POST /lien-he/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
    with Stack(data, "my_shop.conf") as stack, ExitStack() as slow:
        stack.gunicorn.stop()
        stack.start_gunicorn("--workers", "1")
        for _ in range(8):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", stack.port)))
            connection.sendall(head + b"x" * 100_000)
        assert Visitor(stack.port).get("/").status == 200


def test_gunicorn_gone_and_back(data):
    with Stack(data, "my_shop.conf") as stack:
        visitor = Visitor(stack.port)
        assert visitor.get("/").status == 200

        # Killed: its socket file stays, and nobody listens behind it.
        workers = subprocess.run(["pgrep", "-P", str(stack.gunicorn.child.pid)], capture_output=True, text=True).stdout.split()
        stack.gunicorn.stop(signal.SIGKILL)
        until(lambda: not connects(stack.socket), f"Gunicorn's workers {workers} ended")
        answer = visitor.get("/")
        assert answer.status == 502
        assert b"<center><h1>502 Bad Gateway</h1></center>" in answer.body
        line = stack.errors(r"connect\(\)")
        assert "[error]" in line
        assert f"connect() to unix:{stack.socket} failed (111: Connection refused) while connecting to upstream" in line
        assert f'upstream: "http://unix:{stack.socket}:/"' in line

        # The socket is gone too, as after a polite stop.
        stack.socket.unlink()
        assert visitor.get("/").status == 502
        line = stack.errors("No such file")
        assert "[crit]" in line and f"connect() to unix:{stack.socket} failed (2: No such file or directory)" in line
        assert visitor.get(CSS).status == 200

        stack.start_gunicorn()
        assert visitor.get("/").status == 200


def test_stops_politely(data):
    with Stack(data, "my_shop.conf") as stack:
        assert Visitor(stack.port).get("/").status == 200
        assert stack.server.stop(signal.SIGQUIT) == 0
        assert not connects(stack.port)
        assert not (stack.folder / "logs/nginx.pid").exists()
