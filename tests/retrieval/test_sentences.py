"""Where sentences begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.sentences import MAX_SENTENCE_CHARACTERS, sentence_ranges


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_ranges(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained. We left.", ["It rained.", "We left."]),
        ("Was it you? Yes! Go…  Now.", ["Was it you?", "Yes!", "Go…", "Now."]),
        ("Dr. Smith met Mr. J. R. Jones. They ate.", ["Dr. Smith met Mr. J. R. Jones.", "They ate."]),
        ("It cost 3.50 in 1901. It was 12. 5 remain.", ["It cost 3.50 in 1901.", "It was 12.", "5 remain."]),
        ("See Fig. 3 and No. 7, e.g. at p. 9. The answer is no. We left.",
         ["See Fig. 3 and No. 7, e.g. at p. 9.", "The answer is no.", "We left."]),
        ("The U.S. Navy sailed. It won.", ["The U.S. Navy sailed.", "It won."]),
        ("He said “Stop.” Then he left. (He ran.) The end.",
         ["He said “Stop.”", "Then he left.", "(He ran.)", "The end."]),
        ("The vessel, i.e. the ship vs. the boat, sank.", ["The vessel, i.e. the ship vs. the boat, sank."]),
        ("A line that was wrapped by the program that wrote it ends\nhere. Next.",
         ["A line that was wrapped by the program that wrote it ends\nhere.", "Next."]),
        ("Introduction\nThe company was founded.", ["Introduction", "The company was founded."]),
        ("First paragraph\n\nsecond one", ["First paragraph", "second one"]),
        ("Items:\n- one thing\n- another\n1. third\n(b) fourth",
         ["Items:", "- one thing", "- another", "1. third", "(b) fourth"]),
        ("| Year | Sum |\n|---|---|\n| 1901 | 3.5 |", ["| Year | Sum |", "|---|---|", "| 1901 | 3.5 |"]),
        ("今日は雨です。明日は晴れ！本当？", ["今日は雨です。", "明日は晴れ！", "本当？"]),
        ("Это дом. Он большой.", ["Это дом.", "Он большой."]),
        ("¿Qué pasa? ¡Nada! Así es.", ["¿Qué pasa?", "¡Nada!", "Así es."]),
        ("", []),
        (" \n\t ", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_stretch_without_a_stop_is_cut_at_a_space() -> None:
    parts = sentences("word " * 400)
    assert len(parts) == 4
    assert all(part.startswith("word") and part.endswith("word") for part in parts)
    assert all(len(part) <= MAX_SENTENCE_CHARACTERS for part in sentences("x" * 1200))


@given(st.text(st.sampled_from('aB. !?。\n\t-|1()"é'), max_size=200) | st.text(max_size=1500))
def test_the_ranges_are_disjoint_and_hold_everything(text: str) -> None:
    ranges = sentence_ranges(text)
    end = 0
    for first, last in ranges:
        assert end <= first < last <= len(text)
        assert last - first <= MAX_SENTENCE_CHARACTERS
        assert text[end:first].strip() == ""
        end = last
    assert text[end:].strip() == ""
