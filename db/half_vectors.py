"""Vectors as a statement's parameter in PostgreSQL's binary format: as text each of their numbers would be
written here and read there again."""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_DIMENSIONS_OF_ARRAY, _HAS_NULLS, _FIRST_INDEX = 1, 0, 1
_OID = text("SELECT CAST(CAST('halfvec' AS regtype) AS oid)")


@dataclass(frozen=True)
class HalfVectors:
    """A `halfvec[]` of pgvector: an element for each row, of which there is one at least, in half precision.
    `oid`: PostgreSQL's number of that type, from `half_vector_oid`."""

    rows: npt.NDArray[np.float32]
    oid: int


async def half_vector_oid(session: AsyncSession) -> int:
    """Each database gives the type a number of its own."""
    return int((await session.execute(_OID)).scalar_one())


class _HalfVectorsDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: HalfVectors) -> bytes:
        """As `array_recv` (PostgreSQL) and `halfvec_recv` (pgvector) read it: of each element its size in
        bytes, its dimensions, two bytes that are unused, and its numbers."""
        count, dimensions = obj.rows.shape
        element = np.dtype(
            [
                ("size", ">i4"),
                ("dimensions", ">i2"),
                ("unused", ">i2"),
                ("numbers", ">f2", (dimensions,)),
            ]
        )
        elements = np.zeros(count, element)
        elements["size"] = element.itemsize - element["size"].itemsize
        elements["dimensions"] = dimensions
        elements["numbers"] = obj.rows
        array = (_DIMENSIONS_OF_ARRAY, _HAS_NULLS, obj.oid, count, _FIRST_INDEX)
        return struct.pack("!iiIii", *array) + elements.tobytes()


psycopg.adapters.register_dumper(HalfVectors, _HalfVectorsDumper)
