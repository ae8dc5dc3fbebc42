"""Goods and orders."""

from pathlib import Path

from django.db import models
from django.urls import reverse

from products.search import fold


def photo_path(product: "Product", name: str) -> str:
    """Photos are named after their product, so that their addresses can be read."""
    return f"products/{product.slug}{Path(name).suffix.lower()}"


class Category(models.Model):
    name = models.CharField("tên", max_length=60, unique=True)
    slug = models.SlugField("đường dẫn", max_length=60, unique=True, allow_unicode=True)

    class Meta:
        ordering = ["pk"]
        verbose_name = "danh mục"
        verbose_name_plural = "danh mục"

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("category", args=[self.slug])


class Product(models.Model):
    name = models.CharField("tên", max_length=120)
    slug = models.SlugField("đường dẫn", max_length=120, unique=True, allow_unicode=True)
    category = models.ForeignKey(Category, models.PROTECT, related_name="products", verbose_name="danh mục")
    origin = models.CharField("nơi làm", max_length=80)
    price = models.PositiveIntegerField("giá", help_text="đồng")
    summary = models.CharField("giới thiệu", max_length=160)
    description = models.TextField("mô tả")
    photo = models.ImageField("ảnh", upload_to=photo_path, blank=True)
    stock = models.PositiveIntegerField("còn", default=0)
    featured = models.BooleanField("nổi bật", default=False)
    added = models.DateTimeField("ngày thêm", auto_now_add=True)
    keywords = models.TextField(editable=False, default="")

    class Meta:
        ordering = ["-added", "pk"]
        verbose_name = "sản phẩm"
        verbose_name_plural = "sản phẩm"

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("product", args=[self.slug])

    def save(self, **options):
        """Keeps what the search reads in step with the texts."""
        self.keywords = fold(f"{self.name} {self.summary} {self.origin} {self.category}")
        super().save(**options)


class Order(models.Model):
    name = models.CharField("họ tên", max_length=80)
    phone = models.CharField("điện thoại", max_length=20)
    address = models.CharField("địa chỉ", max_length=200)
    placed = models.DateTimeField("lúc đặt", auto_now_add=True)

    class Meta:
        ordering = ["-placed"]
        verbose_name = "đơn hàng"
        verbose_name_plural = "đơn hàng"

    def __str__(self):
        return f"#{self.pk} {self.name}"


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT, verbose_name="sản phẩm")
    quantity = models.PositiveIntegerField("số lượng")
    price = models.PositiveIntegerField("giá", help_text="đồng, lúc đặt")

    class Meta:
        verbose_name = "món"
        verbose_name_plural = "món"

    def __str__(self):
        return f"{self.quantity} × {self.product}"
