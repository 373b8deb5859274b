"""Stage `publish`: readers see the old set of chunks or the new one, never a mix or a gap."""
