"""Addresses of the front page and the contact form."""

from django.urls import path

from home import views

urlpatterns = [
    path("", views.index, name="home"),
    path("lien-he/", views.contact, name="contact"),
]
