"""Stage `classify`: where personal data and secrets stand."""
