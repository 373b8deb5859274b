"""Sealed content is moved between the hot and the cold object store."""
