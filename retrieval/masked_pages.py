"""Pages of masked versions, as they are shown to whoever may not see what tokens stand for."""

from collections.abc import Sequence

from db.models import FindingRow
from muniment.contracts.documents import Line, Page


def masked_page(page: Page, masked: Sequence[FindingRow]) -> Page:
    """The page with tokens where its findings (of this page, in order of place) stand. Lines that hold
    some of one have no words of their own any more. Without lines where they do not tell their
    places in the text; without hidden text, which nobody examined."""
    spans = [(row.start_offset, row.end_offset, row.token or "") for row in masked]
    changed = {"text": _with_tokens(page.text, 0, spans), "hidden": (), "tables": ()}
    return page.model_copy(update={**changed, "lines": _masked_lines(page, spans)})


def _masked_lines(page: Page, spans: Sequence[tuple[int, int, str]]) -> tuple[Line, ...]:
    lines: list[Line] = []
    behind = 0
    for line in page.lines:
        start = page.text.find(line.text, behind)
        if start < 0:
            return ()
        behind = start + len(line.text)
        held = [span for span in spans if span[0] < behind and span[1] > start]
        text = _with_tokens(line.text, start, held)
        lines.append(line.model_copy(update={"text": text, "word_boxes": ""}) if held else line)
    return tuple(lines)


def _with_tokens(text: str, offset: int, spans: Sequence[tuple[int, int, str]]) -> str:
    """The text, which begins at `offset` of the page's; of a finding that goes over several lines the
    token stands in each."""
    parts: list[str] = []
    behind = 0
    for start, end, token in spans:
        first, last = max(start - offset, behind), min(end - offset, len(text))
        if last <= first:
            continue
        parts += [text[behind:first], token]
        behind = last
    return "".join([*parts, text[behind:]])
