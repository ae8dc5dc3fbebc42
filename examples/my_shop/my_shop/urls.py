"""The shop's addresses. /static/ and /media/ are not here: the web server answers them from disk."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("home.urls")),
    path("", include("products.urls")),
    path("admin/", admin.site.urls),
]
