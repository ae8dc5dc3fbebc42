"""Search that does not mind accents: “non la hue” finds “Nón lá Huế”."""

import unicodedata


def fold(text: str) -> str:
    """Lower-case letters without accents; đ becomes d."""
    decomposed = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
