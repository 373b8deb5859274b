"""Vectors of chunks as an artifact."""

import io

import numpy as np

from activities.embed.vectors import from_bytes, to_bytes
from db.queries.index_versions import IndexModel

DEFAULT = IndexModel("default", "1", 4)
OTHER = IndexModel("other", "1", 2)
NEWER = IndexModel("default", "2", 4)
MATRIX = np.arange(8, dtype="<f4").reshape(2, 4)


def test_vectors_of_the_default_model_alone_are_as_releases_before_read_them() -> None:
    stored = to_bytes({DEFAULT: MATRIX}, DEFAULT)
    assert np.array_equal(np.load(io.BytesIO(stored), allow_pickle=False), MATRIX)
    assert np.array_equal(from_bytes(stored, DEFAULT)[DEFAULT], MATRIX)


def test_vectors_of_several_models_name_them() -> None:
    vectors = {DEFAULT: MATRIX, OTHER: MATRIX[:, :2]}
    found = from_bytes(to_bytes(vectors, DEFAULT), None)
    assert list(found) == [DEFAULT, OTHER]
    assert all(np.array_equal(found[model], vectors[model]) for model in found)
    assert list(from_bytes(to_bytes({OTHER: MATRIX[:, :2]}, DEFAULT), DEFAULT)) == [OTHER]


def test_vectors_of_nobody_knows_which_model_are_left_out() -> None:
    stored = to_bytes({DEFAULT: MATRIX}, DEFAULT)
    assert from_bytes(stored, None) == {}
    assert from_bytes(stored, OTHER) == {}, "of other dimensions"
