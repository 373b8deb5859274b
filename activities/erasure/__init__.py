"""The erasure of a file: a registry of every store that keeps anything of one, and its end."""
