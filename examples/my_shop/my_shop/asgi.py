"""The same shop for an ASGI server: `my_shop.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "my_shop.settings")

application = get_asgi_application()
