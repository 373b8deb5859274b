"""Who may read, write or manage what."""
