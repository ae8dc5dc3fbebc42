"""The goods, the cart and the orders."""

from django.apps import AppConfig


class ProductsConfig(AppConfig):
    name = "products"
    verbose_name = "Cửa hàng"
