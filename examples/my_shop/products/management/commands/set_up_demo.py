"""`manage.py set_up_demo`: everything between a checkout and a shop that can be visited."""

import os

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Migrates, collects static files, adds sample products, and makes admin with DEMO_ADMIN_PASSWORD."

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        call_command("sample_products", stdout=self.stdout)
        self.administrator("admin", os.environ["DEMO_ADMIN_PASSWORD"])

    def administrator(self, name, password):
        """Makes the administrator, or sets the password again; an unchanged one ends no session."""
        user, _ = get_user_model().objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": True}
        )
        if not user.check_password(password):
            user.set_password(password)
            user.save()
