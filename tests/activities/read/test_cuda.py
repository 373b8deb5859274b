"""RapidOCR on CUDA where there is none: told, instead of computing on the CPU beside a GPU."""

import onnxruntime
import pytest

from activities.engines import library_version
from activities.ocr_service.rapid_ocr import open_rapid_ocr
from activities.read.ocr import CUDA, RapidOcr
from activities.read.recogniser import Recogniser
from muniment.errors import ConfigurationError


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this runtime has CUDA")
def test_a_runtime_without_cuda_is_told() -> None:
    with pytest.raises(ConfigurationError, match="without CUDA"):
        open_rapid_ocr(on_cuda=True)


def test_a_runtime_that_has_cuda_and_cannot_use_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As onnxruntime-gpu does on a machine without a driver: it lists CUDA, and its sessions take the
    CPU. The models' sessions are real."""
    listed = [CUDA, "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    engine = RapidOcr(on_cuda=True)
    with pytest.raises(ConfigurationError, match="cannot use it") as caught:
        engine.load()
    assert "nvidia-smi" in caught.value.remedy


def test_models_tell_what_they_run_on() -> None:
    recogniser = Recogniser()
    assert recogniser.runs_on("CPUExecutionProvider")
    assert not recogniser.runs_on(CUDA)


def test_a_runtime_installed_in_anothers_place_has_a_version() -> None:
    assert library_version("onnxruntime")
