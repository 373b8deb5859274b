"""What cameras and programs write into pictures: description, artist and the time of the picture."""

from contextlib import suppress

from PIL import ExifTags, Image

from activities.inspect.metadata import MAXIMUM_VALUE, Metadata, describe
from activities.read.damage import damage
from muniment.errors import DocumentError


def image_metadata(image: Image.Image) -> Metadata:
    """Of an image that is loaded: what stands behind its pixels is known then. Empty where the
    metadata is damaged."""
    with suppress(DocumentError), damage("The metadata is damaged."):
        return _said(image)
    return Metadata()


def _said(image: Image.Image) -> Metadata:
    exif = image.getexif()
    taken = exif.get_ifd(ExifTags.IFD.Exif)
    artist = _text(exif.get(ExifTags.Base.Artist))
    time = _text(taken.get(ExifTags.Base.DateTimeOriginal)) or ""
    zone = _text(taken.get(ExifTags.Base.OffsetTimeOriginal)) or ""
    # Written as 2001:12:31 23:59:59 (Exif 2.32, 4.6.5).
    date, _, clock = time.strip().partition(" ")
    return describe(
        _text(exif.get(ExifTags.Base.ImageDescription)),
        [artist] if artist else [],
        f"{date.replace(':', '-')}T{clock}{zone.strip()}" if clock else None,
    )


def _text(value: object) -> str | None:
    """Pillow takes every byte for a character; many programs write UTF-8."""
    if not isinstance(value, str):
        return None
    value = value[:MAXIMUM_VALUE].rstrip("\0")
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
