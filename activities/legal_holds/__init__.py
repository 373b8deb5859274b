"""What becomes due in a legal hold: notices, reminders, reviews, the end of its cooling-off."""
