"""Where personal data and secrets stand."""
