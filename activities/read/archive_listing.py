"""An archive as a document of its own: the list of what is in it."""

from docling_core.types.doc.document import DoclingDocument

from activities.members.walk import members_of
from activities.sandbox.content import Content


def listing_document(content: Content, media_type: str, password: str | None) -> DoclingDocument:
    """A list item a member; of those that are not taken out it says why."""
    document = DoclingDocument(name="document")
    group = document.add_list_group()
    for member in members_of(content, media_type, password):
        note = f" (not taken out: {member.refusal})" if member.refusal else ""
        document.add_list_item(text=f"{member.path}{note}", parent=group)
    return document
