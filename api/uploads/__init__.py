"""`/v1/uploads`: resumable uploads by the tus protocol, version 1.0.0 (https://tus.io/protocols)."""
