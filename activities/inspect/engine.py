"""The engine `inspect`: what a document really is, and how each of its pages is to be read."""

from activities.inspect import file_type
from activities.inspect.calls import InspectRequest
from activities.inspect.described import metadata_of
from activities.inspect.detection import detect
from activities.inspect.file_type import FileType, Nature
from activities.inspect.images import inspect_image
from activities.inspect.metadata import Metadata
from activities.inspect.office import inspect_package
from activities.inspect.pdf import inspect_pdf
from activities.members.walk import Budget, check_password, holds_members, members_of
from activities.read.damage import damage
from activities.read.encrypted_office import unlocked
from activities.read.kreuzberg_formats import count_sheets
from activities.sandbox.content import Content
from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.documents import DocumentFamily, DocumentPlan, PagePlan, PageSource
from muniment.errors import EmptyFile, LimitExceeded, NoPages, UnknownFormat


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
        metadata, outline = account.metadata, account.outline
        needs_password = account.needs_password
    else:
        pages, metadata = _plan(content, kind, request)
        outline, needs_password = (), False
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
        language=metadata.language,
        outline=outline,
        needs_password=needs_password,
    )


def _plan(
    content: Content, kind: FileType, request: InspectRequest
) -> tuple[tuple[PagePlan, ...], Metadata]:
    if kind.family is DocumentFamily.IMAGE:
        count, metadata = inspect_image(content, request)
        return _uniform(count, PageSource.OCR, "image"), metadata
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
        return _uniform(sheets, PageSource.TEXT, "structured format"), metadata_of(content, kind)
    return _uniform(1, PageSource.TEXT, "text"), metadata_of(content, kind)


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
