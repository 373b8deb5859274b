"""A folder of weights as docling expects it, of its models with RANDOM weights.

The published weights cannot be had here. The models are made from their own configuration classes, small,
and saved as the published ones are, so that docling's code loads and runs them as it would those. What
they find on a page means nothing: tests look at the way, never at what was found. The layout model's
bias is set so that it sees tables, and TableFormer's so that these have filled cells: else a part of the
way would never be gone.
"""

import json
from pathlib import Path

import torch
from docling.datamodel.layout_model_specs import DOCLING_LAYOUT_HERON
from docling_core.types.doc.labels import DocItemLabel
from docling_ibm_models.tableformer.models.table04_rs.tablemodel04_rs import TableModel04_rs
from safetensors.torch import save_model
from transformers import (
    RTDetrImageProcessor,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
)

SEED = 7
LABELS = (
    *(DocItemLabel.CAPTION, DocItemLabel.FOOTNOTE, DocItemLabel.FORMULA, DocItemLabel.LIST_ITEM),
    *(DocItemLabel.PAGE_FOOTER, DocItemLabel.PAGE_HEADER, DocItemLabel.PICTURE),
    *(DocItemLabel.SECTION_HEADER, DocItemLabel.TABLE, DocItemLabel.TEXT, DocItemLabel.TITLE),
)
_TAGS = (
    *("<pad>", "<unk>", "<start>", "<end>", "ecel", "fcel", "lcel", "ucel", "xcel", "nl"),
    *("ched", "rhed", "srow"),
)
TABLEFORMER = {
    "dataset": {
        "type": "TF_prepared",
        "name": "random",
        "image_normalization": {
            "state": True,
            "mean": [0.942, 0.943, 0.943],
            "std": [0.179, 0.179, 0.179],
        },
        "resized_image": 448,
    },
    "model": {
        "type": "TableModel04_rs",
        "name": "random",
        "save_dir": ".",
        "enc_image_size": 28,
        "hidden_dim": 512,
        "tag_attention_dim": 256,
        "tag_embed_dim": 16,
        "tag_decoder_dim": 512,
        "bbox_attention_dim": 512,
        "bbox_embed_dim": 256,
        "dropout": 0.1,
        "enc_layers": 1,
        "dec_layers": 1,
        "nheads": 8,
        "bbox_classes": 2,
    },
    "train": {"bbox": True},
    "predict": {"max_steps": 8, "beam_size": 5, "bbox": True, "pdf_cell_iou_thres": 0.05},
    "dataset_wordmap": {
        "word_map_tag": {tag: number for number, tag in enumerate(_TAGS)},
        "word_map_cell": {"<pad>": 0, "<unk>": 1, "<start>": 2, "<end>": 3},
    },
}


def write_random_weights(folder: Path) -> Path:
    """The folder, with a layout model and a TableFormer in it."""
    torch.manual_seed(SEED)
    _write_layout_model(folder / DOCLING_LAYOUT_HERON.repo_id.replace("/", "--"))
    accurate = "docling-project--docling-models/model_artifacts/tableformer/accurate"
    _write_tableformer(folder / accurate)
    return folder


def _write_layout_model(folder: Path) -> None:
    names = {number: label.value for number, label in enumerate(LABELS)}
    backbone = RTDetrResNetConfig(  # type: ignore[call-arg]
        embedding_size=16,
        hidden_sizes=[16, 32, 64, 128],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrV2Config(
        backbone_config=backbone,
        encoder_in_channels=[32, 64, 128],
        encoder_hidden_dim=32,
        encoder_ffn_dim=32,
        d_model=32,
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=6,
        id2label=names,
        label2id={name: number for number, name in names.items()},
    )
    model = RTDetrV2ForObjectDetection(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "class_embed" in name and name.endswith("bias"):
                parameter[LABELS.index(DocItemLabel.TABLE)] = 1.0
                parameter[LABELS.index(DocItemLabel.TEXT)] = 0.5
    model.save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 320, "width": 320}).save_pretrained(folder)


def _write_tableformer(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "tm_config.json").write_text(json.dumps(TABLEFORMER), encoding="utf-8")
    word_map = {"word_map": TABLEFORMER["dataset_wordmap"]}
    model = TableModel04_rs(TABLEFORMER, word_map, "cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("_tag_transformer._fc.bias"):
                parameter[_TAGS.index("fcel")] = 9.0
    save_model(model, str(folder / "tableformer_accurate.safetensors"))
