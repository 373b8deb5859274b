"""RapidOCR in a replica, as the CPU queue runs it: the same pages come out of either queue."""

from activities.read.ocr import RapidOcr


def open_rapid_ocr(*, on_cuda: bool) -> RapidOcr:
    """The engine with its models loaded; ConfigurationError where there is no CUDA to run on."""
    engine = RapidOcr(on_cuda=on_cuda)
    engine.load()
    return engine
