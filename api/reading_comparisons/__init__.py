"""Comparisons of a candidate's reading with the published one."""
