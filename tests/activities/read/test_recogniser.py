"""Which way round lines are read: as most of the page's lines stand."""

import numpy
import pytest
from rapidocr import RapidOCR
from rapidocr.ch_ppocr_cls import TextClsOutput

from activities.read.recogniser import LiesOnItsSide, Pixels, Recogniser

ACROSS = [[0, 0], [90, 0], [90, 10], [0, 10]]
DOWN = [[0, 0], [10, 0], [10, 90], [0, 90]]
SURE = 0.95


def upside_down_after_vote(
    monkeypatch: pytest.MonkeyPatch, boxes: list[list[list[int]]], labels: list[str]
) -> tuple[list[bool], list[bool]]:
    """What the recogniser says of each line, and which crops it hands on turned."""
    upright = numpy.zeros((10, 90, 3), numpy.uint8)
    upright[0, 0] = 255

    def judge(_self: RapidOCR, img: list[Pixels]) -> tuple[list[Pixels], TextClsOutput]:
        images = [
            numpy.ascontiguousarray(image[::-1, ::-1]) if label == "180" else image
            for image, label in zip(img, labels, strict=True)
        ]
        return images, TextClsOutput(cls_res=[(label, SURE) for label in labels])

    monkeypatch.setattr(RapidOCR, "cls_and_rotate", judge)
    monkeypatch.setattr(
        RapidOCR, "crop_text_regions", lambda _self, _img, found: [upright] * len(found)
    )
    recogniser = Recogniser()
    crops = recogniser.crop_text_regions(upright, numpy.array(boxes, numpy.float32))
    images, _ = recogniser.cls_and_rotate(crops)
    return recogniser.upside_down, [not image[0, 0].any() for image in images]


def test_a_line_taken_to_be_upside_down_on_an_upright_page_is_read_upright(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said, turned = upside_down_after_vote(monkeypatch, [ACROSS] * 4, ["0", "180", "0", "0"])
    assert said == turned == [False] * 4


def test_every_line_of_a_page_upside_down_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    said, turned = upside_down_after_vote(monkeypatch, [ACROSS] * 4, ["180", "180", "0", "180"])
    assert said == turned == [True] * 4


def test_lines_that_run_down_do_not_outvote_those_that_run_across(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxes = [ACROSS] * 4 + [DOWN] * 3
    labels = ["0"] * 4 + ["180"] * 3
    said, turned = upside_down_after_vote(monkeypatch, boxes, labels)
    assert said == turned == [False] * 4 + [True] * 3


def test_fewer_than_three_lines_are_judged_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said, turned = upside_down_after_vote(monkeypatch, [ACROSS, ACROSS], ["180", "0"])
    assert said == turned == [True, False]


@pytest.mark.parametrize(("label", "upside_down"), [("0", False), ("180", True)])
def test_a_page_on_its_side_is_told_before_its_lines_are_read(
    monkeypatch: pytest.MonkeyPatch, label: str, upside_down: bool
) -> None:
    boxes = [ACROSS] + [DOWN] * 3
    with pytest.raises(LiesOnItsSide) as lying:
        upside_down_after_vote(monkeypatch, boxes, ["0", label, label, label])
    assert lying.value.upside_down is upside_down
