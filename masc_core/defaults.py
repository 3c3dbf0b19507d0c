"""The metric's defaults and choices, in one place; cheap to import (no torch)."""

from pathlib import Path
from typing import Literal

CHECKPOINT = "google/siglip2-so400m-patch16-naflex"
"""The encoder behind the published figures (MaSC, arXiv 2605.22469)."""

MAX_NUM_PATCHES = 1024
"""Patch budget of a NaFlex encoder: a square image is a 32x32 grid."""

FG_THRESHOLD = 0.5
"""Weight at which a patch counts as foreground: above it for CP, at or above it for PF."""

MODEL_TYPES = ("siglip", "siglip2")
"""`model_type` in a checkpoint's config.json: fixed-size (SigLIP2's too), and NaFlex."""

DEMO = "demo"
"""Instead of a checkpoint: the small trained one that comes with this package."""

DEMO_CHECKPOINT = Path(__file__).with_name("demo_encoder")
"""Where that lies; its README.md says what it is for."""

DEMO_MAX_NUM_PATCHES = 144
"""The most patches that it has seen in an image."""

SPACY_MODEL = "en_core_web_sm"
"""The pipeline that masc-metric's syntax-aware stripper was made with."""

Dtype = Literal["float32", "bfloat16", "float16"]
Stripper = Literal["regex", "none", "spacy"]
ReferenceReduction = Literal["mean", "max"]
