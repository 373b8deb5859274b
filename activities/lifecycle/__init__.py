"""What a workflow writes about the job itself: pauses, waits, decisions, the announcement, the end."""
