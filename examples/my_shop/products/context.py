"""What every page shows: the categories and how much is in the cart."""

from products.cart import Cart
from products.models import Category


def shelves(request):
    return {"categories": Category.objects.all, "cart_count": Cart(request.session).count}
