"""Stage `scan`: is the content free of known malware, and who says so."""
