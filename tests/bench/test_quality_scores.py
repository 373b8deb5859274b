"""The scores of `make quality`, on texts whose scores can be told by hand."""

from pathlib import Path

import pytest

from bench.quality.cases import Case, Truth
from bench.quality.marked_text import folded, take_apart, words_of
from bench.quality.ours import Reading
from bench.quality.results import FileResult, Outcome, Share
from bench.quality.scores import character_error, contains, f1, word_error, word_similarity
from bench.quality.scoring import Scorer
from bench.quality.summary import goal_table, goals

MARKDOWN = """# Deeds *and* seals

Kept in [the north tower](https://example.org/tower), by `two` keepers.

<!-- image -->

| Year | Chests |
|------|--------|
| 1402 | **3**  |
"""


def result(name: str, **scores: object) -> FileResult:
    whole = {"format": Path(name).suffix[1:], "category": "c", "outcome": Outcome.READ}
    return FileResult(name=name, seconds=1.0, **{**whole, **scores})  # type: ignore[arg-type] # fields of several types


def reading(markdown: str, pages: dict[int, str] | None = None) -> Reading:
    return Reading(markdown, markdown, pages or {1: markdown}, 0, ("docling",))


def test_markdown_is_taken_apart_into_what_it_says() -> None:
    parts = take_apart(MARKDOWN)
    assert parts.headings == ["Deeds and seals"]
    assert parts.cells == ["Year", "Chests", "1402", "3"]
    said = "deeds and seals kept in the north tower by two keepers year chests 1402 3"
    assert " ".join(parts.words) == said


def test_typography_does_not_count() -> None:
    assert folded("“A\u00a0deed” — ﬁled\u200b") == '"A deed" - filed'
    assert words_of("L’Été, 第一章") == ["l", "été", "第", "一", "章"]


def test_scores_of_texts() -> None:
    truth = ["one", "two", "three", "four"]
    assert word_similarity(truth, truth) == 1.0
    assert word_similarity(["one", "three", "two", "four"], truth) == pytest.approx(0.75)
    assert word_error(["four", "two", "two"], truth) == pytest.approx(0.5)
    assert character_error("kitten", "sitting") == pytest.approx(3 / 7)
    assert character_error("anything at all", "a") == 1.0
    assert f1(["a", "a", "b"], ["a", "b", "c"]) == pytest.approx(2 * 2 / 6)
    assert f1(["a"], []) is None


def test_a_phrase_counts_across_line_ends_but_not_when_words_are_missing() -> None:
    words = words_of("The keeper of the north-\ntower counted sealed letters.")
    assert contains(words, words_of("north tower counted"))
    assert not contains(words, words_of("north counted"))
    assert not contains(words, [])


def test_a_transcript_is_held_to_its_limit_on_the_pages_it_covers(tmp_path: Path) -> None:
    (tmp_path / "scan.png.gt.txt").write_text("All keys hang here.", encoding="utf-8")
    case = Case(
        name="ocr/scan.png",
        path=tmp_path / "scan.png",
        category="ocr",
        truth=Truth.TRANSCRIPT,
        truth_path=tmp_path / "scan.png.gt.txt",
        truth_pages=(2,),
        max_cer=0.1,
    )
    read = reading("", {1: "Another page.", 2: "All keys hang hore."})
    scorer = Scorer(frozenset("Alkeyshangr."))
    scored = scorer.score(result(case.name), case, read, {})
    assert scored.character_error == pytest.approx(1 / 19)
    assert scored.word_error == pytest.approx(1 / 4)
    assert scored.within_limit is True
    assert scored.known == 1.0
    foreign = Scorer(frozenset("xyz")).score(result(case.name), case, read, {})
    assert goals([foreign])[-2].files == 0, "what the models do not know is set apart"


def test_structure_and_peers_are_scored_against_markdown(tmp_path: Path) -> None:
    truth = tmp_path / "a.docx.truth.md"
    truth.write_text(MARKDOWN, encoding="utf-8")
    case = Case("a.docx", tmp_path / "a.docx", "c", truth=Truth.MARKDOWN, truth_path=truth)
    said = {"kreuzberg": "# Deeds and seals", "pdfium": "Deeds and seals kept"}
    scored = Scorer(frozenset()).score(result("a.docx"), case, reading(MARKDOWN), said)
    assert (scored.similarity, scored.heading_f1, scored.cell_f1) == (1.0, 1.0, 1.0)
    assert scored.peers["kreuzberg"] < scored.peers["pdfium"] < 1.0


def test_goals_say_what_is_met_what_is_not_and_what_nobody_measured() -> None:
    results = [
        result("made_scans/made-00-clean-150dpi.pdf", word_error=0.03),
        result("made_scans/made-01-noise-150dpi.pdf", word_error=0.2),
        result("a.docx", similarity=1.0, peers={"kreuzberg": 0.5}),
        result("b.docx", similarity=0.9),
        result("c.html", similarity=0.99, phrases=Share(1, 2)),
        result("d.pdf", outcome=Outcome.CRASHED),
    ]
    table = goal_table(results)
    assert "| similarity to expected text, over formats | 0.970 | ≥ 0.950 | yes | 3 |" in table
    assert "| similarity where kreuzberg reads too | 1.000 | ≥ 0.500 | yes | 1 |" in table
    assert "| made scans, clean: word error | 0.030 | ≤ 0.040 | yes | 1 |" in table
    assert "| made scans, noise: word error | 0.200 | ≤ 0.100 | **no** | 1 |" in table
    assert "| receipts: share of words |  | ≥ 0.900 | not measured | 0 |" in table
    assert "| files that crash an engine | 1.000 | ≤ 0.000 | **no** | 6 |" in table
