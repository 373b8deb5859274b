"""The task queues. Workflows route to them, workers poll them; nothing else names a queue."""

WORKFLOWS = "muniment"
"""Workflow tasks, and activities that only talk to the database and the object store."""
SCAN = "muniment-scan"
PARSE = "muniment-parse"
OCR_CPU = "muniment-ocr-cpu"
OCR_GPU = "muniment-ocr-gpu"
EMBED = "muniment-embed"
VERIFY = "muniment-verify"
"""What is stored is read again, slowly, content or vectors: nobody waits for what shares its slots."""
DELIVER = "muniment-deliver"
"""Webhooks: whoever polls it reaches out of the house, and waits for receivers that may be slow."""
EVALUATE = "muniment-evaluate"
"""Questions of evaluations: whoever polls it has the embedder, and may wait minutes for language models."""

ALL = (WORKFLOWS, SCAN, PARSE, OCR_CPU, OCR_GPU, EMBED, VERIFY, DELIVER, EVALUATE)
