"""Which language models may read what a collection holds."""

from enum import StrEnum


class ModelUse(StrEnum):
    """`any`: every model that the operator configured; `local`: those alone that run in the house;
    `none`: no model, so that answers are made of the documents' own sentences."""

    ANY = "any"
    LOCAL = "local"
    NONE = "none"
