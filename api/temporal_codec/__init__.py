"""Opens Temporal's encrypted payloads for operators: its Web UI and its command line ask here."""
