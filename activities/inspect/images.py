"""Page counts of images, after a look whether their first page decodes, and what they say of it."""

from PIL import Image, ImageFile, ImageSequence, UnidentifiedImageError

from activities.inspect.calls import InspectRequest
from activities.inspect.exif import image_metadata
from activities.inspect.metadata import Metadata
from activities.sandbox.content import Content
from muniment.errors import DamagedDocument, LimitExceeded, NoPages

IMAGE_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")
Image.init()
Image.MAX_IMAGE_PIXELS = None  # the limit of the request counts, not Pillow's
ImageFile.LOAD_TRUNCATED_IMAGES = False


def inspect_image(content: Content, request: InspectRequest) -> tuple[int, Metadata]:
    """Frames of a TIFF, else 1: an animation is one page, its first picture; and metadata.
    LimitExceeded before anything large is decoded."""
    try:
        with content.open() as file, Image.open(file, formats=IMAGE_FORMATS) as image:
            _check_size(image, request)
            image.load()
            metadata = image_metadata(image)
            if image.format != "TIFF":
                return 1, metadata
            count = 0
            for frame in ImageSequence.Iterator(image):
                _check_size(frame, request)
                count += 1
                if count > request.maximum_pages:
                    raise LimitExceeded(f"The image has more than {request.maximum_pages:,} pages.")
    except UnidentifiedImageError as error:
        raise DamagedDocument("The image is damaged beyond reading.") from error
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError) as error:
        raise DamagedDocument("The image is cut short or damaged.") from error
    if count == 0:
        raise NoPages("The image file holds no image.")
    return count, metadata


def _check_size(image: Image.Image, request: InspectRequest) -> None:
    if image.width * image.height > request.maximum_image_pixels:
        raise LimitExceeded(
            f"The image has {image.width:,} × {image.height:,} pixels; "
            f"the limit is {request.maximum_image_pixels:,} in all."
        )
