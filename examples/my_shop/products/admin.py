"""Goods and orders in the admin."""

from django.contrib import admin
from django.utils.html import format_html

from products.models import Category, Order, OrderLine, Product


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["name", "slug"]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["thumbnail", "name", "category", "price", "stock", "featured"]
    list_display_links = ["thumbnail", "name"]
    list_editable = ["price", "stock", "featured"]
    list_filter = ["category", "featured"]
    search_fields = ["name", "summary", "origin"]

    @admin.display(description="ảnh")
    def thumbnail(self, product):
        if not product.photo:
            return "–"
        return format_html('<img src="{}" alt="" width="48" height="48" style="object-fit:cover">', product.photo.url)


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["pk", "name", "phone", "placed"]
    inlines = [OrderLineInline]
