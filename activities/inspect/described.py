"""What documents say of themselves beside their text, by format: those that are opened for it alone."""

from collections.abc import Callable
from contextlib import suppress

from activities.inspect import file_type
from activities.inspect.compound import compound_metadata
from activities.inspect.file_type import FileType
from activities.inspect.front_matter import markdown_metadata
from activities.inspect.messages import mail_metadata, message_metadata
from activities.inspect.metadata import Metadata
from activities.inspect.rich_text import rich_text_metadata
from activities.inspect.web_page import page_metadata
from activities.read.damage import damage
from activities.sandbox.content import Content
from muniment.errors import DocumentError

_FINDERS: dict[str, Callable[[Content], Metadata]] = {
    file_type.HTML.media_type: page_metadata,
    file_type.MARKDOWN.media_type: markdown_metadata,
    file_type.EMAIL.media_type: mail_metadata,
    file_type.MSG.media_type: message_metadata,
    file_type.RTF.media_type: rich_text_metadata,
    file_type.DOC.media_type: compound_metadata,
    file_type.XLS.media_type: compound_metadata,
    file_type.PPT.media_type: compound_metadata,
}


def metadata_of(content: Content, kind: FileType) -> Metadata:
    """Empty where the format has none, and where it is damaged: that makes no document unreadable."""
    find = _FINDERS.get(kind.media_type)
    if find is not None:
        with suppress(DocumentError), damage("The metadata is damaged."):
            return find(content)
    return Metadata()
