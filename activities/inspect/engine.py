"""The engine `inspect`: what a document really is, and how each of its pages is to be read."""

import re

from activities.inspect import file_type
from activities.inspect.calls import InspectRequest
from activities.inspect.detection import detect
from activities.inspect.file_type import FileType, Nature
from activities.inspect.images import count_image_pages
from activities.inspect.metadata import Metadata, describe
from activities.inspect.office import inspect_package
from activities.inspect.pdf import inspect_pdf
from activities.members.walk import Budget, check_password, holds_members, members_of
from activities.read.damage import damage
from activities.read.encrypted_office import unlocked
from activities.read.kreuzberg_formats import count_sheets
from activities.read.text_encoding import decode_text
from activities.sandbox.content import Content
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.documents import DocumentFamily, DocumentPlan, PagePlan, PageSource
from muniment.errors import EmptyFile, LimitExceeded, NoPages, UnknownFormat

_HTML_HEAD_BYTES = 64 * 1024
_HTML_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,1000})</title", re.IGNORECASE)


@engine("inspect")
def inspect(request: InspectRequest, context: EngineContext) -> DocumentPlan:
    """Raises the DocumentError that says why the document cannot be read at all."""
    content = context.content
    if content.size_bytes == 0:
        raise EmptyFile("The file has no content: 0 bytes.")
    content = unlocked(content, request.password)
    kind = detect(content, name=request.name, declared_media_type=request.declared_media_type)
    if kind.family is None:
        raise UnknownFormat(f"The file is a {kind.title}, which no engine here reads.")
    if kind.family is DocumentFamily.PDF:
        pages, account = inspect_pdf(content, request)
        metadata, language, outline = account.metadata, account.language, account.outline
        needs_password = account.needs_password
    else:
        pages, metadata = _plan(content, kind, request)
        language, outline, needs_password = None, (), False
    members = _count_members(content, kind, request)
    return DocumentPlan(
        media_type=kind.media_type,
        family=kind.family,
        page_count=len(pages),
        member_count=members,
        pages=pages,
        title=metadata.title,
        authors=metadata.authors,
        created=metadata.created,
        language=language,
        outline=outline,
        needs_password=needs_password,
    )


def _plan(
    content: Content, kind: FileType, request: InspectRequest
) -> tuple[tuple[PagePlan, ...], Metadata]:
    if kind.family is DocumentFamily.IMAGE:
        count = count_image_pages(content, request)
        return _uniform(count, PageSource.OCR, "image"), Metadata()
    if kind.nature is Nature.OPEN_PACKAGE:
        with content.open() as file:
            count, metadata = inspect_package(file, kind)
        if count == 0:
            raise NoPages(f"The {kind.title} has no pages.")
        if count > request.maximum_pages:
            raise LimitExceeded(
                f"The {kind.title} has {count:,} pages; the limit is {request.maximum_pages:,}."
            )
        return _uniform(count, PageSource.TEXT, "structured format"), metadata
    if kind is file_type.XLS:
        with damage("The workbook is damaged beyond reading."):
            sheets = count_sheets(content.read(), kind.media_type)
        if sheets == 0:
            raise NoPages("The workbook has no sheets.")
        return _uniform(sheets, PageSource.TEXT, "structured format"), Metadata()
    metadata = _html_metadata(content) if kind is file_type.HTML else Metadata()
    return _uniform(1, PageSource.TEXT, "text"), metadata


def _count_members(content: Content, kind: FileType, request: InspectRequest) -> int:
    """How many files are in it, those that will not be taken out among them."""
    if not holds_members(kind.media_type):
        return 0
    budget = Budget(content.size_bytes)
    count = 0
    for member in members_of(content, kind.media_type, request.password):
        budget.spend(member.size_bytes)
        if count == 0 and member.refusal is None:
            check_password(member)
        count += 1
    return count


def _uniform(count: int, source: PageSource, reason: str) -> tuple[PagePlan, ...]:
    return tuple(
        PagePlan(page=number, source=source, reason=reason) for number in range(1, count + 1)
    )


def _html_metadata(content: Content) -> Metadata:
    found = _HTML_TITLE.search(decode_text(content.head(_HTML_HEAD_BYTES)))
    return describe(found.group(1) if found else None, [], None)
