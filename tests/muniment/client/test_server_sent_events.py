"""The decoder against the rules of the WHATWG standard (§9.2.6)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.client.problems import StreamBroken
from muniment.client.server_sent_events import (
    LARGEST_EVENT_CHARACTERS,
    Decoder,
    ServerSentEvent,
)


def decoded(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def test_an_event_has_its_kind_its_data_and_its_id() -> None:
    assert decoded(b"event: add\ndata: 73\nid: 1\n\n") == [ServerSentEvent("add", "73", "1")]


def test_data_lines_are_joined_by_line_feeds() -> None:
    assert decoded(b"data: YHOO\ndata: +2\ndata: 10\n\n")[0].data == "YHOO\n+2\n10"


def test_an_event_without_a_kind_is_a_message() -> None:
    assert decoded(b"data: x\n\n")[0].event == "message"


def test_only_one_space_after_the_colon_belongs_to_the_format() -> None:
    assert [event.data for event in decoded(b"data:test\n\ndata: test\n\ndata:  test\n\n")] == [
        "test",
        "test",
        " test",
    ]


def test_fields_without_a_colon_have_an_empty_value() -> None:
    # The standard's own example: one event of nothing, one of a line feed, one unfinished.
    assert [event.data for event in decoded(b"data\n\ndata\ndata\n\ndata:")] == ["", "\n"]


def test_comments_and_unknown_fields_are_ignored() -> None:
    assert decoded(b": heartbeat\n\nunknown: 1\ndata: x\n\n") == [
        ServerSentEvent("message", "x", "")
    ]


def test_an_event_without_data_is_none_but_its_id_is_kept() -> None:
    decoder = Decoder()
    assert decoder.feed(b"event: ping\nid: 9\n\n") == []
    assert decoder.last_event_id == "9"
    assert decoder.feed(b"data: x\n\n") == [ServerSentEvent("message", "x", "9")]


def test_an_empty_id_resets_it_and_one_with_nul_is_ignored() -> None:
    events = decoded(b"id: 1\ndata: a\n\nid: \0\ndata: b\n\nid\ndata: c\n\n")
    assert [event.id for event in events] == ["1", "1", ""]


def test_the_id_of_an_unfinished_event_is_not_yet_the_last_one() -> None:
    decoder = Decoder("5")
    decoder.feed(b"id: 6\ndata: x\n")
    assert decoder.last_event_id == "5"


def test_retry_is_milliseconds_and_only_digits_count() -> None:
    decoder = Decoder()
    decoder.feed(b"retry: 1500\n\n")
    decoder.feed(b"retry: 2s\n\n")
    assert decoder.retry_seconds == 1.5


def test_a_byte_order_mark_at_the_start_is_dropped() -> None:
    assert decoded(b"\xef\xbb", b"\xbfdata: x\n\n")[0].data == "x"


def test_an_event_ends_at_a_carriage_return_without_waiting_for_more() -> None:
    assert decoded(b"data: x\r\r") == [ServerSentEvent("message", "x", "")]


def test_an_endless_line_is_refused() -> None:
    decoder = Decoder()
    decoder.feed(b"x" * LARGEST_EVENT_CHARACTERS)
    with pytest.raises(StreamBroken):
        decoder.feed(b"x")


@given(
    ending=st.sampled_from(["\n", "\r", "\r\n"]),
    texts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1), max_size=4
    ),
    data=st.data(),
)
def test_neither_line_endings_nor_cuts_change_what_is_decoded(
    ending: str, texts: list[str], data: st.DataObject
) -> None:
    lines = [line for text in texts for line in (f"data: {text}", "event: e", "id: 1", "")]
    stream = "".join(line + ending for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert [event.data for event in decoded(*chunks)] == texts
