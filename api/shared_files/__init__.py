"""Shared files, as those see them who have a link and no key."""
