"""Logs, traces and metrics. Import the module that is meant:

`logs` (JSON lines), `context` (what every line of a request carries), `request_context` (carries
it through Temporal), `tracing` (OpenTelemetry), `metrics` (Prometheus). Nothing is imported here,
so that a workflow sandbox that needs one module does not load the others.
"""
