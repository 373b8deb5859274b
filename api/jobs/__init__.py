"""Jobs: what runs, how far it is, and what a person may do about it."""
