"""Findings: the right places, never the values, and whatever was left out is named."""

import logging
import socket
import threading
import time
from typing import NoReturn

import pytest

from activities.classify import engine as engine_module
from activities.classify.calls import PageText
from activities.classify.engine import classify_pages
from activities.classify.pieces import PIECE_LENGTH, pieces_of
from activities.classify.time_limit import time_limit
from muniment.contracts.documents import Finding, FindingKind

FILLER = "The lease was signed by both parties in the presence of a notary.\n"
AWS_KEY = "AKIA" + "Q3EXAMPLE7Z2WK5T"
PRIVATE_KEY = (
    "-----BEGIN RSA " + "PRIVATE KEY-----\n" + "QUJDREVGRw\n" * 6 + "-----END RSA PRIVATE KEY-----"
)


def find(text: str) -> list[tuple[str, str]]:
    """Entity and found text on one page, in order."""
    result = classify_pages([PageText(page=1, text=text)])
    assert result.incomplete == ()
    return [(finding.entity, text[finding.start : finding.end]) for finding in result.findings]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("Write to ana.li@example.co.uk today", "EMAIL_ADDRESS", "ana.li@example.co.uk"),
        ("IBAN DE89 3704 0044 0532 0130 00 by May", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("iban de89370400440532013000 2 days", "IBAN_CODE", "de89370400440532013000"),
        ("paid with 4111 1111 1111 1111.", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("card 378282246310005", "CREDIT_CARD", "378282246310005"),
        ("SSN 219-09-9999", "US_SSN", "219-09-9999"),
        ("social security number 219099999", "US_SSN", "219099999"),
        ("from 203.0.113.77 at noon", "IP_ADDRESS", "203.0.113.77"),
        ("and 2001:db8::8a2e:370:7334,", "IP_ADDRESS", "2001:db8::8a2e:370:7334"),
        ("ring +49 30 901820 at ten", "PHONE_NUMBER", "+49 30 901820"),
        ("telephone 5550 1234", "PHONE_NUMBER", "5550 1234"),
        ("(212) 736-5000 is theirs", "PHONE_NUMBER", "(212) 736-5000"),
        ("born on 4 July 1976 in", "DATE_OF_BIRTH", "4 July 1976"),
        ("Geburtsdatum: 04.07.1976", "DATE_OF_BIRTH", "04.07.1976"),
    ],
)
def test_personal_data_is_found_with_its_exact_place(text: str, entity: str, value: str) -> None:
    assert find(text) == [(entity, value)]


@pytest.mark.parametrize(
    "text",
    [
        "Order 4111 1111 1111 1112 fails the check digit.",
        "DE00370400440532013000 has a wrong check digit.",
        "Meeting at 12:30:45 on 2024-05-17 11:20, room 219.09.",
        "Revenue 1,234,567,890 grew by 12.5 % from 2019 to 2023.",
        "Signed on 4 July 1976.",
        "Version 10.4.300.1 of part 000-12-3456.",
        "look @ home or at user@localhost",
        "ISBN 12345-6789 and 123456789 units",
    ],
)
def test_look_alikes_are_left_alone(text: str) -> None:
    assert find(text) == []


def test_secrets_are_marked_whole() -> None:
    assert find(f"key: {AWS_KEY} end") == [("AWS_ACCESS_KEY", AWS_KEY)]
    assert ("PRIVATE_KEY", PRIVATE_KEY) in find(f"file\n{PRIVATE_KEY}\nend")
    url = "postgres://app:" + "horse9battery" + "@db.example.com/x"
    assert ("BASIC_AUTH_CREDENTIALS", "horse9battery") in find(url)


def test_a_comment_in_the_document_exempts_nothing() -> None:
    text = f"key: {AWS_KEY}  # pragma: allowlist secret"
    assert ("AWS_ACCESS_KEY", AWS_KEY) in find(text)


def test_offsets_are_code_points() -> None:
    text = "😀 naïve 文書: ana@example.org"
    assert find(text) == [("EMAIL_ADDRESS", "ana@example.org")]


def test_findings_at_the_borders_of_pieces_are_found_once() -> None:
    stride = 61
    text = (FILLER * 500)[: PIECE_LENGTH * 3]
    for start in range(PIECE_LENGTH - 1200, PIECE_LENGTH + 200, stride):
        value = "4111 1111 1111 1111"
        marked = f"{text[:start]} {value} {text[start:]}"
        found = [entry for entry in find(marked) if entry[0] == "CREDIT_CARD"]
        assert found == [("CREDIT_CARD", value)], start


def test_pieces_own_every_place_exactly_once() -> None:
    for length in (0, 1, PIECE_LENGTH - 1, PIECE_LENGTH, PIECE_LENGTH + 1, 40_000):
        owned = [
            piece.offset + place
            for piece in pieces_of("x" * length)
            for place in range(len(piece.text))
            if piece.owns(place)
        ]
        assert owned == list(range(length))


def test_the_result_holds_no_value() -> None:
    values = ["ana@example.org", AWS_KEY, "4111 1111 1111 1111"]
    result = classify_pages([PageText(page=7, text=" and ".join(values))])
    assert {finding.page for finding in result.findings} == {7}
    assert {finding.kind for finding in result.findings} == {
        FindingKind.PERSONAL_DATA,
        FindingKind.SECRET,
    }
    assert set(Finding.model_fields) == {
        "kind", "entity", "page", "start", "end", "score", "recogniser", "recogniser_version", "boxes",
    }  # fmt: skip
    assert not any(value in result.model_dump_json() for value in values)


def test_nothing_is_logged_about_what_was_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    find(f"ana@example.org DE89370400440532013000 {AWS_KEY} password: hunter22")
    assert "ana@" not in caplog.text
    assert AWS_KEY not in caplog.text
    assert "hunter22" not in caplog.text


def test_no_connection_is_attempted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert find("write to ana@example.museum") == [("EMAIL_ADDRESS", "ana@example.museum")]


def test_a_recogniser_that_runs_out_of_time_is_named_with_its_pages() -> None:
    # An expression of detect-secrets backtracks for ever over white space after this word.
    hostile = PageText(page=4, text="password" + " " * 30_000)
    harmless = PageText(page=5, text="ana@example.org")
    result = classify_pages([hostile, harmless], piece_seconds=2)
    assert result.incomplete == ("detect-secrets: out of time on pages 4",)
    assert [finding.page for finding in result.findings] == [5]


@pytest.mark.parametrize(
    "pattern", ["a.", "a@", "1 ", "1-", "a:", "AA11", "born 1 ", 'password="', "a://b:", "+1("]
)
def test_hostile_text_is_examined_in_bounded_time(pattern: str) -> None:
    started = time.process_time()
    result = classify_pages([PageText(page=1, text=pattern * 25_000)], piece_seconds=30)
    assert time.process_time() - started < 8
    assert result.incomplete == ()


def test_pages_beyond_the_time_limit_are_named() -> None:
    pages = [PageText(page=number, text=FILLER * 20) for number in range(1, 9)]
    result = classify_pages(pages, seconds=1e-9)
    assert result.findings == ()
    assert result.incomplete == ("time limit: pages 1–8 were not examined",)


def test_more_findings_than_are_recorded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MAXIMUM_FINDINGS", 3)
    result = classify_pages([PageText(page=1, text="ana@example.org " * 5)])
    assert len(result.findings) == 3
    assert result.incomplete == ("5 findings: only the first 3 are recorded",)


def test_the_time_limit_ends_a_backtracking_expression_and_leaves_no_alarm() -> None:
    import re
    import signal

    started = time.monotonic()
    with pytest.raises(TimeoutError), time_limit(0.1):
        re.match(r"(a+)+$", "a" * 60 + "b")
    assert time.monotonic() - started < 30
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert threading.current_thread() is threading.main_thread()
