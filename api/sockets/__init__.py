"""WebSockets: who may open one, and how many."""
