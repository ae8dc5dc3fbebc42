"""Forms of the cart and the order."""

from django import forms

from products.cart import MOST
from products.models import Order


class QuantityForm(forms.Form):
    quantity = forms.IntegerField(min_value=0, max_value=MOST)


class OrderForm(forms.ModelForm):
    class Meta:
        model = Order
        fields = ["name", "phone", "address"]
