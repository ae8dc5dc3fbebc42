"""The visitor's cart, kept in the session as {product id: quantity}."""

from dataclasses import dataclass

from products.models import Order, OrderLine, Product

MOST = 99


@dataclass
class Line:
    product: Product
    quantity: int

    @property
    def total(self) -> int:
        return self.product.price * self.quantity


class Cart:
    def __init__(self, session):
        self.session = session
        self.quantities = session.get("cart", {})

    def put(self, product: Product, quantity: int):
        """Sets how many of the product are wanted; none takes it out."""
        if quantity > 0:
            self.quantities[str(product.pk)] = min(quantity, MOST)
        else:
            self.quantities.pop(str(product.pk), None)
        self.session["cart"] = self.quantities

    def quantity(self, product: Product) -> int:
        return self.quantities.get(str(product.pk), 0)

    def count(self) -> int:
        return sum(self.quantities.values())

    def lines(self) -> list[Line]:
        found = Product.objects.filter(pk__in=self.quantities).order_by("name")
        return [Line(product, self.quantity(product)) for product in found]

    def order(self, order: Order):
        """Writes the cart's lines under a saved order, and empties the cart."""
        OrderLine.objects.bulk_create(
            OrderLine(order=order, product=line.product, quantity=line.quantity, price=line.product.price)
            for line in self.lines()
        )
        self.session["cart"] = self.quantities = {}
