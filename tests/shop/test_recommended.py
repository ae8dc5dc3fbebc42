"""my_shop_recommended.conf: Django sees the real Host and client, uploads may be large, static files expire."""

import os
import re

import pytest
from conftest import noise_photo
from stack import PASSWORD
from test_founding import CSS, new_photo
from visitor import Visitor, refused


@pytest.fixture
def visitor(recommended):
    return Visitor(recommended.port)


def test_django_sees_the_real_host(visitor):
    assert visitor.send("GET", "/", headers={"Host": "shop.example"}).status == 200
    assert visitor.send("GET", "/", headers={"Host": "not-allowed.example"}).status == 400


def test_post_needs_no_trusted_origin(recommended, visitor):
    """The page's own origin equals the Host that Django sees, port included."""
    answer = visitor.post("/lien-he/", {"name": "Anh Tú", "email": "tu@example.vn", "text": "Chào tiệm"})
    assert answer.status == 302
    assert recommended.data.rows("SELECT address FROM home_message WHERE name = 'Anh Tú'") == [("127.0.0.1",)]


def test_visitor_cannot_lie_about_the_address(recommended, visitor):
    fields = {"name": "Liar", "email": "l@example.vn", "text": "x"}
    assert visitor.post("/lien-he/", fields, headers={"X-Forwarded-For": "203.0.113.9"}).status == 302
    assert recommended.data.rows("SELECT address FROM home_message WHERE name = 'Liar'") == [("127.0.0.1",)]


def test_static_expires_in_a_week(visitor):
    headers = visitor.get(CSS).headers
    assert headers["cache-control"] == "max-age=604800"
    assert "expires" in headers


def test_media_has_headers_of_its_own(visitor):
    headers = visitor.get("/media/products/nón-lá-huế.jpg").headers
    assert headers["cache-control"] == "max-age=3600"
    assert headers["x-content-type-options"] == "nosniff"


def test_large_photo_arrives_whole(recommended, visitor):
    visitor.log_in(PASSWORD)
    photo = noise_photo(6_000_000)
    assert len(photo) > 3_000_000
    assert new_photo(visitor, recommended, photo, "lớn.jpg").status == 302
    address = re.search(r'id="photo" src="([^"]+)"', visitor.get("/san-pham/giỏ-cói-đi-chợ/").text)[1]
    assert visitor.get(address).body == photo
    # The body went through a temporary file, and it is gone.
    temporary = recommended.folder / "client_body_temp"
    assert temporary.is_dir() and not any(files for _, _, files in os.walk(temporary))


def test_more_than_ten_megabytes_is_413(recommended):
    head = b"POST /lien-he/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10485761\r\n\r\n"
    assert refused(recommended.port, head).status == 413
