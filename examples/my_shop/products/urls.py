"""Addresses of the goods, the cart and the order."""

from django.urls import path

from products import views

urlpatterns = [
    path("san-pham/", views.products, name="products"),
    path("san-pham/<str:slug>/", views.product, name="product"),
    path("danh-muc/<str:slug>/", views.category, name="category"),
    path("gio-hang/", views.cart, name="cart"),
    path("gio-hang/<str:slug>/", views.put_in_cart, name="put-in-cart"),
]
