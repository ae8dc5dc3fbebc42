"""What the tests share: the shop's data, made once, and a stack of each configuration."""

from io import BytesIO

import pytest
from PIL import Image
from stack import BINARY, Stack, sample_data
from visitor import Visitor


def pytest_report_header():
    return f"server under test: {BINARY}"


@pytest.fixture(scope="session")
def data():
    with sample_data() as made:
        yield made


@pytest.fixture(scope="module")
def founding(data):
    with Stack(data, "my_shop.conf") as stack:
        yield stack


@pytest.fixture(scope="module")
def recommended(data):
    environment = {"MY_SHOP_BEHIND_PROXY": "1", "MY_SHOP_HOSTS": "localhost,shop.example", "MY_SHOP_ORIGINS": ""}
    with Stack(data, "my_shop_recommended.conf", environment) as stack:
        yield stack


@pytest.fixture
def visitor(founding):
    return Visitor(founding.port)


def noise_photo(bytes_wanted):
    """A JPEG of about that many bytes, which no two calls make alike."""
    side = int((bytes_wanted / 2.1) ** 0.5)
    jpeg = BytesIO()
    Image.effect_noise((side, side), 80).convert("RGB").save(jpeg, "JPEG", quality=97)
    return jpeg.getvalue()
