"""Unfinished uploads whose time has run out."""
