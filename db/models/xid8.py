"""PostgreSQL's 64-bit transaction id as a column type."""

from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"
