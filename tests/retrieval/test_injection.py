"""Which passages are taken for speaking to a machine."""

import time

import pytest

from retrieval.injection import InjectionSign, injection_signs
from tests.red_team.documents import ATTACKS, FACT, HARMLESS


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_an_attack_is_seen(name: str) -> None:
    assert injection_signs(f"{FACT} {ATTACKS[name]}")


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_a_document_for_people_is_not_suspected(name: str) -> None:
    assert injection_signs(HARMLESS[name]) == frozenset()


def test_what_is_hidden_is_read_too() -> None:
    assert injection_signs(f"{FACT} {ATTACKS['hidden in tags']}") == {
        InjectionSign.HIDDEN,
        InjectionSign.INSTRUCTION,
    }


@pytest.mark.parametrize(
    "repeated", ["ignore all ", "<", "a", "![", " ", "\n", "{ ", "\u2060", "<|a"]
)
def test_a_passage_made_to_be_slow_is_not(repeated: str) -> None:
    started = time.process_time()
    injection_signs(repeated * 10_000)
    assert time.process_time() - started < 2.0
