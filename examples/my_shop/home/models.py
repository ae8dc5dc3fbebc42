"""What visitors write to the shop."""

from django.db import models


class Message(models.Model):
    """One letter from the contact form."""

    name = models.CharField("họ tên", max_length=80)
    email = models.EmailField("email")
    text = models.TextField("lời nhắn", max_length=2000)
    address = models.GenericIPAddressField("địa chỉ IP", null=True, blank=True, editable=False)
    sent = models.DateTimeField("lúc gửi", auto_now_add=True)

    class Meta:
        ordering = ["-sent"]
        verbose_name = "lời nhắn"
        verbose_name_plural = "lời nhắn"

    def __str__(self):
        return f"{self.name} <{self.email}>"
