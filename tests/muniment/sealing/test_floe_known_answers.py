"""Our FLOE opens what the reference implementations sealed, and seals it to the same bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from muniment.errors import SealBroken
from muniment.sealing.floe import (
    AEAD_IV_BYTES,
    FLOE_IV_BYTES,
    HEADER_BYTES,
    LENGTH_BYTES,
    NOT_LAST,
    PARAMETER_BYTES,
    FloeParameters,
    Opener,
    Sealer,
)

KEY = bytes(32)
ASSOCIATED_DATA = b"This is AAD"
KEPT_HERE = Path(__file__).parent / "known_answers"
ROTATION_BITS = (2, 0, 1, 3, 4)
"""The rotation files do not say their mask: one of these."""


def names(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix("_ct.txt") for path in folder.glob("*_ct.txt"))


def answer(folder: Path, name: str) -> tuple[bytes, bytes]:
    """Sealed object and plaintext."""
    sealed = bytes.fromhex((folder / f"{name}_ct.txt").read_text())
    return sealed, bytes.fromhex((folder / f"{name}_pt.txt").read_text())


def segments(sealed: bytes, segment_bytes: int) -> Iterator[tuple[int, bytes, bool]]:
    """Position, bytes and whether it is the last, as the length fields have it."""
    starts = range(HEADER_BYTES, len(sealed), segment_bytes)
    for position, start in enumerate(starts):
        segment = sealed[start : start + segment_bytes]
        yield position, segment, int.from_bytes(segment[:LENGTH_BYTES], "big") != NOT_LAST


def opened(sealed: bytes, parameters: FloeParameters) -> bytes:
    opener = Opener(KEY, ASSOCIATED_DATA, sealed[:HEADER_BYTES], parameters)
    parts = segments(sealed, parameters.segment_bytes)
    return b"".join(
        opener.open_segment(segment, position, is_last=is_last)
        for position, segment, is_last in parts
    )


def parameters_of(name: str, sealed: bytes) -> FloeParameters:
    segment_bytes = int.from_bytes(sealed[2:6], "big")
    if "rotation" not in name:
        return FloeParameters(segment_bytes)
    for bits in ROTATION_BITS:
        try:
            opened(sealed, FloeParameters(segment_bytes, bits))
        except SealBroken:
            continue
        return FloeParameters(segment_bytes, bits)
    raise AssertionError(f"{name} opens under no rotation mask")


def sealed_again(sealed: bytes, plaintext: bytes, parameters: FloeParameters) -> bytes:
    """What our sealer makes of the plaintext when it draws the same IVs."""
    ivs = [sealed[PARAMETER_BYTES : PARAMETER_BYTES + FLOE_IV_BYTES]]
    for _, segment, _ in segments(sealed, parameters.segment_bytes):
        ivs.append(segment[LENGTH_BYTES : LENGTH_BYTES + AEAD_IV_BYTES])
    drawn = iter(ivs)
    sealer = Sealer(KEY, ASSOCIATED_DATA, parameters, random_bytes=lambda _: next(drawn))
    return sealer.header + sealer.seal(plaintext) + sealer.finish()


@pytest.mark.parametrize("name", names(KEPT_HERE))
def test_a_known_answer_opens(name: str) -> None:
    sealed, plaintext = answer(KEPT_HERE, name)
    assert opened(sealed, parameters_of(name, sealed)) == plaintext


@pytest.mark.parametrize("name", ["go_GCM256_IV256_64", "java_lastSegAligned", "java_rotation"])
def test_sealing_with_the_same_ivs_gives_the_known_bytes(name: str) -> None:
    sealed, plaintext = answer(KEPT_HERE, name)
    assert sealed_again(sealed, plaintext, parameters_of(name, sealed)) == sealed


def test_every_published_known_answer_opens_and_seals(shared_data: Path) -> None:
    folder = shared_data / "floe"
    tried = names(folder)
    assert len(tried) == 17
    for name in tried:
        sealed, plaintext = answer(folder, name)
        parameters = parameters_of(name, sealed)
        assert opened(sealed, parameters) == plaintext, name
        # Our sealer never adds an empty segment after a full one; all else is the same.
        if name != "java_lastSegEmpty":
            assert sealed_again(sealed, plaintext, parameters) == sealed, name
