"""Copies of files for giving away, without what is not to be given."""
