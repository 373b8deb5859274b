"""Pages that lie askew are turned straight for engines that read along rows; boxes are put back."""

import math
from pathlib import Path

import cv2
import numpy
import pypdfium2
import pytest
from PIL import Image

from activities.read.geometry import Box
from activities.read.ocr_engine import OcrChoice
from activities.read.page_image import PageImage
from activities.read.skew import skew_degrees, straightened
from activities.read.tesseract import DATA_FOLDERS, open_tesseract
from bench.quality.scores import word_error
from muniment.contracts.ocr import OcrEngineName
from tests.activities.made_documents import picture

DPI = 150
HAS_TESSERACT = any(Path(folder, "eng.traineddata").is_file() for folder in DATA_FOLDERS)


def page_of(pixels: numpy.ndarray) -> PageImage:
    rows, columns = pixels.shape[:2]
    scale = DPI / 72
    return PageImage(numpy.ascontiguousarray(pixels), scale, columns / scale, rows / scale)


def scanned(document: Path) -> PageImage:
    """The first page of a PDF at 150 dpi."""
    with pypdfium2.PdfDocument(document) as opened:
        return page_of(opened[0].render(scale=DPI / 72).to_numpy()[:, :, :3])


def lying_at(image: PageImage, degrees: float) -> tuple[PageImage, numpy.ndarray]:
    """The page turned against the clock on a larger ground, and the matrix that turns its pixels."""
    rows, columns = image.pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = int(rows * sine + columns * cosine), int(rows * cosine + columns * sine)
    matrix[:, 2] += (wide - columns) / 2, (high - rows) / 2
    white = (255, 255, 255)
    return page_of(cv2.warpAffine(image.pixels, matrix, (wide, high), borderValue=white)), matrix


SCANS = ("made_scans/made-00-clean-150dpi.pdf", "pdf-digital/federal-register-2020-17221.pdf")


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("degrees", [-15.0, -4.0, -1.0, 0.0, 0.6, 7.0, 15.0])
@pytest.mark.parametrize("quarter_turns", [0, 1])
def test_the_angle_of_a_page_is_found(
    shared_data: Path, scan: str, degrees: float, quarter_turns: int
) -> None:
    image, _ = lying_at(scanned(shared_data / "documents" / scan), degrees)
    found = skew_degrees(numpy.rot90(image.pixels, quarter_turns))
    assert found == pytest.approx(degrees, abs=0.2)


def test_a_straight_page_is_left_as_it_is(shared_data: Path) -> None:
    image = scanned(shared_data / "documents" / SCANS[0])
    assert straightened(image).image is image


def test_a_page_without_lines_is_left_as_it_is() -> None:
    noise = numpy.random.default_rng(7).integers(0, 255, (900, 700, 3), numpy.uint8)
    for pixels in (noise, numpy.full((900, 700, 3), 255, numpy.uint8), noise[:1, :1]):
        assert straightened(page_of(pixels)).degrees == 0.0


@pytest.mark.parametrize("degrees", [-12.0, 5.0])
def test_boxes_are_put_back_on_the_page_as_it_lies(degrees: float) -> None:
    pixels = numpy.full((700, 900, 3), 255, numpy.uint8)
    for row in range(60, 660, 30):
        for column in range(80, 820, 20):
            cv2.rectangle(pixels, (column, row), (column + 12, row + 12), (0, 0, 0), -1)
    image, matrix = lying_at(page_of(pixels), degrees)
    straight = straightened(image)
    assert straight.degrees == pytest.approx(degrees, abs=0.15)
    middle = numpy.array([straight.image.width / 2, straight.image.height / 2])
    back = straight.back(Box(*(middle - 1), *(middle + 1)))
    wanted = matrix @ (450, 350, 1) / image.scale
    assert (back.left + back.right) / 2 == pytest.approx(wanted[0], abs=1.0)
    assert back.middle == pytest.approx(wanted[1], abs=1.0)


@pytest.mark.skipif(not HAS_TESSERACT, reason="Tesseract's models are not installed")
@pytest.mark.parametrize("degrees", [-3.0, 10.0])
def test_tesseract_reads_an_askew_page_as_well_as_a_straight_one(
    shared_data: Path, degrees: float
) -> None:
    tesseract = open_tesseract(OcrChoice(engine=OcrEngineName.TESSERACT))
    scan = shared_data / "documents" / SCANS[0]
    truth = Path(f"{scan}.truth.txt").read_text().lower().split()
    image, _ = lying_at(scanned(scan), degrees)
    assert word_error(tesseract.read(1, image).text.lower().split(), truth) < 0.06


@pytest.mark.skipif(not HAS_TESSERACT, reason="Tesseract's models are not installed")
def test_words_of_an_askew_page_have_boxes_where_they_stand(tmp_path: Path) -> None:
    text = "The northern tower holds every key of the house"
    (tmp_path / "a.png").write_bytes(picture([text] * 4))
    image = page_of(numpy.asarray(Image.open(tmp_path / "a.png").convert("RGB")))
    tesseract = open_tesseract(OcrChoice(engine=OcrEngineName.TESSERACT))
    level = tesseract.read(1, image).lines[2].words()
    askew, matrix = lying_at(image, 8.0)
    line = tesseract.read(1, askew).lines[2]
    assert line.bbox is not None
    words = line.words()
    assert [word.text for word in words] == text.split()
    for word, before in zip(words, level, strict=True):
        x, y = (before.bbox[0] + before.bbox[2]) / 2, (before.bbox[1] + before.bbox[3]) / 2
        wanted = matrix @ (x * image.scale, y * image.scale, 1) / image.scale
        middle = ((word.bbox[0] + word.bbox[2]) / 2, (word.bbox[1] + word.bbox[3]) / 2)
        assert math.dist(middle, wanted) < 4.0
        assert word.bbox[3] - word.bbox[1] < 0.7 * (line.bbox[3] - line.bbox[1])
