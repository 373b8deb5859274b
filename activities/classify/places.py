"""Where on their pages findings stand."""

from collections.abc import Sequence

from muniment.contracts.documents import BoundingBox, Finding, FindingList, Page
from retrieval.anchors.boxes import MOST_BOXES, PlacedWord, around, placed_words

Lines = Sequence[tuple[PlacedWord, ...]]


def with_boxes(findings: FindingList, pages: Sequence[Page]) -> FindingList:
    """The same findings, each with a box for every line that holds some of it; none on pages whose
    reading gives no places."""
    of_number = {page.page: page for page in pages}
    placed: dict[int, Lines] = {}
    found: list[Finding] = []
    for finding in findings.findings:
        if finding.start == finding.end:  # it stands in no text, and came with its place
            found.append(finding)
            continue
        if finding.page not in placed:
            page = of_number[finding.page]
            placed[finding.page] = placed_words(page.text, page.lines)
        boxes = _boxes(placed[finding.page], finding)
        found.append(finding.model_copy(update={"boxes": boxes}))
    return findings.model_copy(update={"findings": tuple(found)})


def _boxes(lines: Lines, finding: Finding) -> tuple[BoundingBox, ...]:
    boxes: list[BoundingBox] = []
    for line in lines:
        if not line or line[0].start >= finding.end or line[-1].end <= finding.start:
            continue
        held = [word.bbox for word in line if word.start < finding.end and word.end > finding.start]
        if held:
            boxes.append(around(held))
    return tuple(boxes[:MOST_BOXES])
