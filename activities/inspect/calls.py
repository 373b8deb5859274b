"""What the engine `inspect` is asked; it answers with a DocumentPlan."""

from muniment.contracts.base import Contract

DEFAULT_MAXIMUM_PAGES = 10_000
DEFAULT_MAXIMUM_IMAGE_PIXELS = 300_000_000
"""An A0 poster at 300 dpi has 139 million pixels."""


class InspectRequest(Contract):
    """`declared_media_type` and `name` are what the sender said; neither is trusted."""

    declared_media_type: str
    name: str
    password: str | None = None
    maximum_pages: int = DEFAULT_MAXIMUM_PAGES
    maximum_image_pixels: int = DEFAULT_MAXIMUM_IMAGE_PIXELS
