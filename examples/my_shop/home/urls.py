"""Addresses of the front page and the contact form."""

from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from home import views

urlpatterns = [
    path("", views.index, name="home"),
    path("lien-he/", views.contact, name="contact"),
    # Browsers ask for it on pages that name no icon, the admin's among them.
    path("favicon.ico", RedirectView.as_view(url=static("home/logo.svg"))),
]
