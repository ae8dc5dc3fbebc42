"""Letters in the admin."""

from django.contrib import admin

from home.models import Message

admin.site.site_header = "my_shop"
admin.site.site_title = "my_shop"


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "address", "sent"]
    search_fields = ["name", "email", "text"]
    readonly_fields = ["address", "sent"]
