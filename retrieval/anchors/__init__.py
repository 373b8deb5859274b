"""Where an annotation stands: its words found again in another reading, or not at all."""
