"""What is left of a model's words, in whatever pieces they come."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt as CommonMark

from retrieval.answer_text import AnswerText, Mark

SHOWN = [
    ("Plain words, 1:2 and a/b - fine.", "Plain words, 1:2 and a/b - fine."),
    ("Paid by the widow [1].", "Paid by the widow <1>."),
    ("Both say so [1, 2][3].", "Both say so <1,2><3>."),
    ("In [2024] and [a] and [", "In [2024] and [a] and ["),
    ("[1](https://evil.example/x) and on", "<1> and on"),
    ("See [the portal](https://evil.example/?q=a(b)) now", "See [the portal]) now"),
    ("![pixel](//evil.example/p.png) after", "[pixel] after"),
    ("<img src='https://evil.example/i'> after", " after"),
    ("<script>alert(1)</script> after", "alert(1)  after"),
    ("<<b>img src=x>", "‹ img src=x>"),
    ("]<b>(//evil.example)", "] (‹link›)"),
    ("[a](b)(//evil.example)", "[a]"),
    ("ww<b>w.evil.example", "ww w.evil.example"),
    ("<https://evil.example/a> after", " after"),
    ("see https://evil.example/a?b=c, and on", "see ‹link› and on"),
    ("HTTPS:\\\\evil.example\\a b", "‹link› b"),
    ("www.evil.example/abc) end", "‹link›) end"),
    ("//evil.example/abc end", "‹link› end"),
    ("gopher://evil.example end", "gopher‹link› end"),
    ("[1]: https://evil.example/ref", "<1> : ‹link›"),
    ("!![x][r]", "[x][r]"),
    ("Wow!!! Done![1]", "Wow!!! Done<1>"),
    ("[r]: &#47;&#47;evil.example/p", "[r] : & #47;& #47;evil.example/p"),
    ("[r]: /&#x2f;evil.example/p", "[r] : /& #x2f;evil.example/p"),
    ("[r](x): /&sol;evil.example/p", "[r] : /& sol;evil.example/p"),
    ("[r]: http:evil.example/p on", "[r] : ‹link› on"),
    ("AT&T & Sons &c.; R&D", "AT&T & Sons &c.; R&D"),
    ("a < b and c <3 and x<y", "a < b and c <3 and x‹y"),
    ("file: the minutes; http: a protocol", "file: the minutes; http: a protocol"),
    ("who? what! how? wow!", "who? what! how? wow!"),
    ("hid\u200bden\U000e0041\u202e text", "hidden text"),
    ("<think>thoughts [1] https://x.example</think>\nWords.", "Words."),
    ("tail http", "tail http"),
    ("tail ![", "tail ["),
    ("tail https:", "tail https:"),
]


def read(pieces: list[str]) -> str:
    words = AnswerText()
    parts = [part for piece in pieces for part in words.feed(piece)] + words.finish()
    return "".join(
        f"<{','.join(map(str, part.numbers))}>" if isinstance(part, Mark) else part
        for part in parts
    )


@pytest.mark.parametrize(("said", "shown"), SHOWN)
def test_links_images_and_html_go_and_marks_are_told_apart(said: str, shown: str) -> None:
    assert read([said]) == shown
    assert read([*said]) == shown, "character by character"


@pytest.mark.parametrize("size", range(2, 9))
def test_the_borders_of_pieces_make_no_difference(size: int) -> None:
    for said, shown in SHOWN:
        assert read([said[at : at + size] for at in range(0, len(said), size)]) == shown


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "![",
                "](",
                ")",
                "[",
                "]",
                "<",
                ">",
                "img ",
                "http",
                "s:",
                "//",
                "www",
                ".",
                "e",
                " ",
                "\\",
                "[1]",
                "(",
                "<b>",
                "!",
                ":",
                "&#47;",
                "&sol;",
                "[r]",
                "[r]: ",
                "\n\n",
                "http:",
            ]
        ),
        max_size=25,
    )
)
@example(["!![e][r]", "\n\n", "[r]: ", "&#47;", "&#47;", "e.e"])
@example(["!", "[99]", "[e][r]", "\n\n", "[r]", "[99]", ":", " http:e.e"])
def test_nothing_that_a_browser_would_fetch_comes_through(pieces: list[str]) -> None:
    shown = read(pieces)
    assert shown == read(["".join(pieces)])
    for marks in (r"[\1]", ""):
        # As they are shown, and taken away as of passages that no model was shown.
        said = re.sub(r"<([\d,]+)>", marks, shown)
        made = CommonMark("commonmark").render(said)
        assert not re.search(r"<(?:img|a)\b", made), (said, made)
        assert not re.search(r"!\[|\]\(|<img", said)
    assert not re.search(r"[/\\]{2,}\S|www\.|https?:[/\\]", shown)


def test_words_are_not_held_back() -> None:
    words = AnswerText()
    assert words.feed("Paid") == ["Paid"]
    assert words.feed(" by the wid") == [" by the wid"]
    assert words.feed("ow [1") == ["ow "]
    assert words.feed("]") == [Mark((1,))]


def test_a_refusal_is_no_text() -> None:
    words = AnswerText()
    assert [part for piece in ("NO_", "ANS", "WER", " at all") for part in words.feed(piece)] == []
    assert words.finish() == []
    assert words.has_refused


def test_a_link_without_an_end_takes_no_more_than_it_may() -> None:
    for pieces in (["[a](" + "x" * 5_000 + " on"], ["[a](", *["x" * 500] * 10, " on"]):
        assert read(pieces) == "[a]" + "x" * 3_000 + " on"


def test_a_tag_without_an_end_is_none() -> None:
    shown = read(["<img " + "a" * 700 + " src=https://evil.example/x > after"])
    assert "<" not in shown
    assert "evil" not in shown
    assert shown.endswith("> after")
