"""Refuses HTML that is nested so deeply that building its tree takes longer than anyone waits."""

from html.parser import HTMLParser

from muniment.errors import LimitExceeded

MAXIMUM_DEPTH = 512
"""Browsers stop at 512 (the limit of Blink's and WebKit's parsers)."""

_VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    ]
)  # WHATWG HTML, 13.1.2
_END_OPTIONAL = frozenset(
    [
        "p",
        "li",
        "dt",
        "dd",
        "tr",
        "td",
        "th",
        "thead",
        "tbody",
        "tfoot",
        "option",
        "optgroup",
        "colgroup",
        "rt",
        "rp",
        "caption",
    ]
)
"""Pages leave these open by the thousand, and parsers close them by themselves."""


class _DepthMeter(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID or tag in _END_OPTIONAL:
            return
        self._depth += 1
        if self._depth > MAXIMUM_DEPTH:
            raise LimitExceeded(f"The page is nested more than {MAXIMUM_DEPTH} elements deep.")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and tag not in _END_OPTIONAL:
            self._depth = max(0, self._depth - 1)


def refuse_deep_html(text: str) -> None:
    """LimitExceeded when elements are nested more than `MAXIMUM_DEPTH` deep."""
    meter = _DepthMeter()
    meter.feed(text)
    meter.close()
