"""Where else a masked value stands: recognisers know it by what is around it, readers know it again."""

from collections.abc import Sequence

from activities.classify.places import with_boxes
from activities.classify.tokens import TokenisedFinding
from activities.classify.values import Place, ValueFinder, folded
from muniment.contracts.documents import Finding, FindingList, Page

RECOGNISER = "SameValue"


def further_places(
    masked: Sequence[TokenisedFinding], pages: Sequence[Page]
) -> list[TokenisedFinding]:
    """Findings of the same values, with the same tokens, where there are none yet: written otherwise, broken
    by a hyphen or by the end of a page. In order of place."""
    first = {folded(each.value): each for each in reversed(masked)}
    covered = {page.page: bytearray(len(page.text)) for page in pages}
    for each in masked:
        start, end = each.finding.start, each.finding.end
        covered[each.finding.page][start:end] = b"\1" * (end - start)
    places = ValueFinder(first).places([page.text for page in pages])
    new = [
        place for place in places if 0 in covered[pages[place.text].page][place.start : place.end]
    ]
    findings = [_finding(first[place.value].finding, pages[place.text], place) for place in new]
    placed = with_boxes(FindingList(findings=tuple(findings)), pages).findings
    return [
        TokenisedFinding(
            finding, pages[place.text].text[place.start : place.end], first[place.value].token
        )
        for finding, place in zip(placed, new, strict=True)
    ]


def _finding(like: Finding, page: Page, place: Place) -> Finding:
    update = {
        "page": page.page,
        "start": place.start,
        "end": place.end,
        "recogniser": RECOGNISER,
        "recogniser_version": like.recogniser_version,
        "boxes": (),
    }
    return like.model_copy(update=update)
