"""Pages of the goods, the cart and the order."""

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from products.cart import Cart
from products.forms import OrderForm, QuantityForm
from products.models import Category, Product
from products.search import fold


def products(request):
    """All goods, or those whose texts contain every word of `?q=`."""
    query = request.GET.get("q", "").strip()
    found = Product.objects.select_related("category")
    if query:
        found = found.filter(*(Q(keywords__contains=word) for word in fold(query).split()))
    title = f"Tìm “{query}”" if query else "Tất cả sản phẩm"
    return render(request, "products/list.html", {"title": title, "products": found, "query": query})


def category(request, slug):
    shelf = get_object_or_404(Category, slug=slug)
    goods = shelf.products.select_related("category")
    return render(request, "products/list.html", {"title": shelf.name, "products": goods, "category": shelf})


def product(request, slug):
    item = get_object_or_404(Product.objects.select_related("category"), slug=slug)
    others = item.category.products.select_related("category").exclude(pk=item.pk)[:4]
    return render(request, "products/detail.html", {"product": item, "others": others})


@require_POST
def put_in_cart(request, slug):
    """Sets the quantity of one product, or adds one of it where the form names none."""
    item = get_object_or_404(Product, slug=slug)
    basket = Cart(request.session)
    form = QuantityForm(request.POST)
    if form.is_valid():
        basket.put(item, form.cleaned_data["quantity"])
    else:
        basket.put(item, basket.quantity(item) + 1)
        messages.success(request, f"Đã thêm “{item.name}” vào giỏ hàng.")
    return redirect("cart")


def cart(request):
    """Shows the cart; a POST with name, phone and address orders it."""
    basket = Cart(request.session)
    form = OrderForm(request.POST or None)
    lines = basket.lines()
    if lines and form.is_valid():
        with transaction.atomic():
            order = form.save()
            basket.order(order)
        messages.success(request, f"Đơn hàng số {order.pk} đã được ghi nhận. Cảm ơn {order.name}!")
        return redirect("home")
    total = sum(line.total for line in lines)
    return render(request, "products/cart.html", {"lines": lines, "total": total, "form": form})
