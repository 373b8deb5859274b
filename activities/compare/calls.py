"""What the engine `compare` is asked and answers."""

from muniment.contracts.base import Contract


class CompareRequest(Contract):
    """The call's content are lines of JSON: so many batches of the published reading, then the
    candidate's (a PageBatch each), then the DoclingDocuments of the two. `pages` are compared."""

    pages: tuple[int, ...]
    present_batches: int
    candidate_batches: int


class PageFigures(Contract):
    """A page that both read. `similarity` (0–1) is twice the longest common subsequence of words
    over the words of both (of their multisets where a page has very many); lost and gained words are
    counted in any order."""

    page: int
    similarity: float
    present_words: int
    candidate_words: int
    words_lost: int
    words_gained: int
    present_confidence: float | None = None
    candidate_confidence: float | None = None


class Shared(Contract):
    """So many of a kind in each reading, and so many that are the same in both."""

    present: int = 0
    candidate: int = 0
    shared: int = 0


class StructureFigures(Contract):
    """Of the pages compared. A heading is the same where its text and page are, a table where its
    page, rows and columns are, a cell where its text and page are."""

    headings: Shared = Shared()
    tables: Shared = Shared()
    cells: Shared = Shared()


class ReadingFigures(Contract):
    """How the readings differ: figures only."""

    pages: tuple[PageFigures, ...]
    structure: StructureFigures
