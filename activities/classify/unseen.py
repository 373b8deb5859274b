"""What nobody sees of a page, and what speaks to machines: signals, told where they are."""

from collections.abc import Iterator

from activities.classify.calls import PageText
from activities.classify.pieces import Piece
from muniment.contracts.documents import Finding, FindingKind, HiddenKind, HiddenText
from retrieval.injection import InjectionSign, injection_signs, sign_places

HIDDEN_RECOGNISER = "HiddenText"
INJECTION_RECOGNISER = "PromptInjection"
VERSION = "1"
INJECTION_SCORE = 0.6
"""Phrases that documents for people do not hold; a text about such attacks holds them too."""


def injections_in(page: int, piece: Piece) -> Iterator[Finding]:
    for sign, start, end in sign_places(piece.text):
        # A line that began in the piece before may have been cut there.
        if piece.owns(start) or start < piece.owned_start < end:
            yield _signal(page, sign).model_copy(
                update={"start": piece.offset + start, "end": piece.offset + end}
            )


def hidden_in(page: PageText) -> Iterator[Finding]:
    """What is hidden, and what of it speaks to a machine; with the place of what is hidden."""
    for hidden in page.hidden:
        placed = {"boxes": () if hidden.bbox is None else (hidden.bbox,)}
        yield _hidden(page.page, hidden.kind).model_copy(update=placed)
        for sign in sorted(_spoken(hidden)):
            yield _signal(page.page, sign).model_copy(update=placed)


def _spoken(hidden: HiddenText) -> frozenset[InjectionSign]:
    return injection_signs(hidden.text) - {InjectionSign.HIDDEN}


def _signal(page: int, sign: InjectionSign) -> Finding:
    if sign is InjectionSign.HIDDEN:
        return _hidden(page, HiddenKind.UNSEEN_CHARACTERS)
    return Finding(
        kind=FindingKind.PROMPT_INJECTION,
        entity=f"INJECTION_{sign.upper()}",
        page=page,
        start=0,
        end=0,
        score=INJECTION_SCORE,
        recogniser=INJECTION_RECOGNISER,
        recogniser_version=VERSION,
    )


def _hidden(page: int, kind: HiddenKind) -> Finding:
    return Finding(
        kind=FindingKind.HIDDEN_TEXT,
        entity=f"HIDDEN_{kind.upper()}",
        page=page,
        start=0,
        end=0,
        score=1,
        recogniser=HIDDEN_RECOGNISER,
        recogniser_version=VERSION,
    )
