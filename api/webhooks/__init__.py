"""`/v1/webhooks`: endpoints to which events are sent, and what became of each event."""
