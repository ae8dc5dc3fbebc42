"""The front page and the contact form."""

from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect, render

from home.forms import MessageForm
from products.models import Product


def index(request):
    """What the shop shows first."""
    featured = Product.objects.filter(featured=True).select_related("category")[:4]
    newest = Product.objects.select_related("category").exclude(pk__in=featured.values("pk"))[:8]
    return render(request, "home/index.html", {"featured": featured, "newest": newest})


def contact(request):
    """Takes a letter, then goes back to the front page."""
    form = MessageForm(request.POST or None)
    if form.is_valid():
        letter = form.save(commit=False)
        letter.address = client_address(request)
        letter.save()
        messages.success(request, f"Cảm ơn {letter.name}, tiệm đã nhận được lời nhắn của bạn.")
        return redirect("home")
    return render(request, "home/contact.html", {"form": form})


def client_address(request) -> str | None:
    """The visitor's IP address; `None` when the web server did not pass it on.

    Over a UNIX socket Gunicorn knows no address: only X-Forwarded-For tells, and its last entry is the
    one that our own web server added.
    """
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR") or None
