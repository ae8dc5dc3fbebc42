"""A real browser (Debian's chromium) visits the shop, logs in to the admin and uploads a photo.

With SHOP_PICTURE=docs/shop.png it also writes that screenshot again.
"""

import os
import shutil
from urllib.parse import unquote

import pytest
from conftest import noise_photo
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from stack import PASSWORD, PATIENCE

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=vi",
]

pytestmark = pytest.mark.skipif(not shutil.which("chromedriver"), reason="no chromedriver here")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--window-size=1280,900"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(PATIENCE)
    driver.implicitly_wait(PATIENCE)
    yield driver
    driver.quit()


def arrive(browser, path):
    """Waits for the address to end so: a form's page does not go away the moment it is sent."""
    WebDriverWait(browser, PATIENCE).until(lambda _: unquote(browser.current_url).endswith(path))


def is_loaded(browser, picture):
    """Whether an image element holds decoded pixels; waits for it."""
    browser.execute_script("arguments[0].loading = 'eager'", picture)
    WebDriverWait(browser, PATIENCE).until(lambda _: picture.get_property("complete"))
    return picture.get_property("naturalWidth") > 0


def complaints(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_front_page_is_styled_and_illustrated(founding, browser):
    browser.get(founding.url())
    assert browser.title == "my_shop · đồ thủ công Việt Nam"
    # The stylesheet came through /static/ and was taken: its type and its bytes are right.
    button = browser.find_element(By.CSS_SELECTOR, ".hero .button")
    assert button.value_of_css_property("background-color") == "rgba(181, 52, 43, 1)"
    assert browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color") == "rgba(250, 245, 236, 1)"
    pictures = browser.find_elements(By.TAG_NAME, "img")
    assert len(pictures) == 14
    assert all(is_loaded(browser, picture) for picture in pictures)
    assert complaints(browser) == []


def test_visitor_finds_and_orders(founding, browser):
    browser.get(founding.url())
    search = browser.find_element(By.NAME, "q")
    search.send_keys("den long")
    search.submit()
    arrive(browser, "/san-pham/?q=den+long")
    browser.find_element(By.LINK_TEXT, "Cẩm Châu, Hội An\nĐèn lồng Hội An\n260.000 ₫").click()
    arrive(browser, "/san-pham/đèn-lồng-hội-an/")
    assert browser.find_element(By.TAG_NAME, "h1").text == "Đèn lồng Hội An"
    assert is_loaded(browser, browser.find_element(By.ID, "photo"))
    browser.find_element(By.CSS_SELECTOR, ".product .button").click()
    arrive(browser, "/gio-hang/")
    assert browser.find_element(By.CSS_SELECTOR, ".basket b").text == "1"
    for name, value in {"name": "Cô Hồng", "phone": "0987 654 321", "address": "5 Nguyễn Thái Học, Hội An"}.items():
        browser.find_element(By.NAME, name).send_keys(value)
    browser.find_element(By.CSS_SELECTOR, ".panel .button").click()
    arrive(browser, f":{founding.port}/")
    assert "Cảm ơn Cô Hồng!" in browser.find_element(By.CLASS_NAME, "notice").text
    assert founding.data.rows("SELECT address FROM products_order WHERE name = 'Cô Hồng'") == [("5 Nguyễn Thái Học, Hội An",)]


def test_administrator_uploads_a_photo(founding, browser, tmp_path):
    photo = tmp_path / "ảnh sơn mài.jpg"
    photo.write_bytes(noise_photo(300_000))
    browser.get(founding.url("/admin/products/product/add/"))
    browser.find_element(By.NAME, "username").send_keys("admin")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "[type=submit]").click()

    fields = {
        "name": "Hộp sơn mài", "slug": "hộp-sơn-mài", "origin": "Hạ Thái, Hà Nội", "price": "520000",
        "summary": "Mười hai lớp sơn ta.", "description": "Mài nước, đánh bóng bằng tay.", "stock": "3", "photo": str(photo),
    }
    for name, value in fields.items():
        element = browser.find_element(By.NAME, name)
        if name != "photo":
            element.clear()
        element.send_keys(value)
    Select(browser.find_element(By.NAME, "category")).select_by_visible_text("Mây tre & thủ công")
    browser.find_element(By.NAME, "_save").click()
    arrive(browser, "/admin/products/product/")
    assert "Hộp sơn mài" in browser.find_element(By.CLASS_NAME, "success").text
    # The admin's own stylesheet is one of the collected files.
    assert browser.find_element(By.ID, "header").value_of_css_property("background-color") == "rgba(65, 118, 144, 1)"

    browser.get(founding.url("/san-pham/hộp-sơn-mài/"))
    shown = browser.find_element(By.ID, "photo")
    assert "/media/products/" in shown.get_attribute("src")
    assert is_loaded(browser, shown)
    assert shown.get_property("naturalWidth") == Image.open(photo).width
    assert complaints(browser) == []


@pytest.mark.skipif("SHOP_PICTURE" not in os.environ, reason="SHOP_PICTURE is not set")
def test_picture_for_the_readme(recommended, browser):
    browser.set_window_size(1280, 1200)
    browser.get(recommended.url())
    assert all(is_loaded(browser, picture) for picture in browser.find_elements(By.TAG_NAME, "img"))
    browser.save_screenshot(os.environ["SHOP_PICTURE"])
