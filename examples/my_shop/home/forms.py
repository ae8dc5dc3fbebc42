"""The contact form."""

from django import forms

from home.models import Message


class MessageForm(forms.ModelForm):
    class Meta:
        model = Message
        fields = ["name", "email", "text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 6})}
