"""The one seam through which every parser, model and OCR engine runs.

Documents are hostile until proven otherwise, and parsers crash, hang and swell. So no engine runs
in a worker: a template process, which loaded them all once, forks a child for each call. The child
gets one document, limits, and a pipe; it dies with its call, with its caller, and with the worker.
"""

from activities.sandbox.calls import EngineCall
from activities.sandbox.frames import decoded
from activities.sandbox.limits import Limits
from activities.sandbox.sandbox import Sandbox

__all__ = ["EngineCall", "Limits", "Sandbox", "decoded"]
