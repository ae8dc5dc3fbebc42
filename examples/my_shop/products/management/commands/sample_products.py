"""`manage.py sample_products`: fills an empty shop. Run again, it adds only what is missing."""

from io import BytesIO

from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand
from django.utils.text import slugify

from products.models import Category, Product
from products.samples import SAMPLES


class Command(BaseCommand):
    help = "Adds the sample products, with pictures drawn on the spot."

    def handle(self, *args, **options):
        for shelf in dict.fromkeys(sample.category for sample in SAMPLES):
            Category.objects.get_or_create(name=shelf, defaults={"slug": slugify(shelf, allow_unicode=True)})
        # The newest stands first in the shop, so the first of the list is added last.
        added = [sample for sample in reversed(SAMPLES) if self.add(sample)]
        self.stdout.write(f"{len(added)} products added, {Product.objects.count()} in the shop")

    def add(self, sample) -> bool:
        """Whether the product was new."""
        product, new = Product.objects.get_or_create(
            slug=slugify(sample.name, allow_unicode=True),
            defaults={
                "name": sample.name,
                "category": Category.objects.get(name=sample.category),
                "origin": sample.origin,
                "price": sample.price,
                "stock": sample.stock,
                "summary": sample.summary,
                "description": sample.description,
                "featured": sample.featured,
            },
        )
        if not product.photo:
            self.draw(product, sample)
        return new

    def draw(self, product, sample):
        jpeg = BytesIO()
        sample.picture().save(jpeg, "JPEG", quality=88, optimize=True)
        product.photo.save("picture.jpg", ContentFile(jpeg.getvalue()))
