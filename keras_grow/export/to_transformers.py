"""A KerasHub model as a folder that `transformers` loads."""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_grow.export.card import model_card
from keras_grow.export.check import check_comparable
from keras_grow.export.check import largest_difference
from keras_grow.export.families import export_family_of
from keras_grow.export.folder import check_empty
from keras_grow.export.folder import write_whole
from keras_grow.export.options import chat_of
from keras_grow.export.options import longest_text
from keras_grow.export.plain import export_dtype
from keras_grow.export.plain import numpy_dtype
from keras_grow.export.plain import plain_model
from keras_grow.export.shards import write_shards
from keras_grow.export.tensors import padding
from keras_grow.export.tensors import tensors_of
from keras_grow.export.tokenizer_files import token_ids
from keras_grow.export.tokenizer_files import write_tokenizer
from keras_grow.growth.families import backbone_of
from keras_grow.tasks.chat_template import ChatTemplate


@dataclasses.dataclass(frozen=True)
class Export:
    """What an export wrote.

    Attributes:
        path: the folder, or the file.
        weight_bytes: bytes of its weights.
        padding_bytes: how many of them are zeros that pad blocks which grew
            less than others to the common width.
        files: how many files the weights are in.
        largest_difference: the largest difference of a logit from the
            model's, if `verify` was set.
    """

    path: Path
    weight_bytes: int
    padding_bytes: int
    files: int = 1
    largest_difference: float | None = None


def export_transformers(
    model: keras.Model,
    folder: str | os.PathLike[str],
    dtype: str | None = None,
    *,
    verify: bool = False,
    prompts: Sequence[str] | None = None,
    shard_bytes: int = 5 * 10**9,
    max_positions: int | None = None,
    chat_template: str | ChatTemplate | None = None,
    card: Mapping[str, Any] | None = None,
) -> Export:
    """Write a model as a folder that `transformers` loads.

    `transformers.AutoModelForCausalLM.from_pretrained(folder)` computes the
    same function, and so does other software that reads such folders (vLLM,
    llama.cpp's converter). A grown model is merged first, in its current state;
    blocks that grew less than others are padded with zeros to the common width;
    a line on stderr says how many bytes that costs. LoRA is folded in. The
    folder is written whole or not at all.

    Gemma 1, 2 and 3 (text), Llama 2 and 3, Mistral, Qwen 2 and 3, Phi 3,
    SmolLM 3 and GPT-2 can be exported.

    A growth cannot be exported as a PEFT adapter: it is a wider MLP, and PEFT
    has no adapter that widens a layer. Serve the merged model.

    Args:
        model: a KerasHub `CausalLM`, or a backbone (then no tokenizer is
            written), grown or not.
        folder: the folder to make. If it exists it must be empty.
        dtype: `"float32"`, `"bfloat16"` or `"float16"`. Defaults to the dtype
            of the model's weights.
        verify: whether to load the folder with `transformers` and compare
            logits.
        prompts: texts to compare them on. Defaults to built-in texts, or to
            random tokens if the model has no tokenizer.
        shard_bytes: the most bytes of a file. At most one tensor is in memory
            at a time.
        max_positions: the longest text that `config.json` promises. Defaults
            to that of the family's published models.
        chat_template: the chat template to write beside the tokenizer, such
            as `"gemma"`, or the source of one; see `ChatTemplate.of`. The end
            of a turn then ends generation. KerasHub models have none.
        card: what the model card says: `base`, `license`, `data` (texts) and
            `scores` (figures by name).

    Returns:
        What was written: `path`, `weight_bytes`, `padding_bytes` (how many
        of them are zeros that pad blocks which grew less than others),
        `files` (how many the weights are in) and, with `verify`,
        `largest_difference`: of a logit, from the model's.

    Raises:
        TypeError: if `model` is not a KerasHub model.
        ValueError: if the folder is not empty, the dtype or the chat template
            is unknown, the family cannot be exported or computed by
            `transformers`, the model is quantized or inside
            `growth_disabled`, or a weight is too large for float16.
        OSError: if the disk is full.
        ImportError: if `verify` is set and `transformers` is not installed.

    Example:

    ```python
    keras_grow.grow_model(lm)
    lm.fit(...)
    keras_grow.export_transformers(lm, "french", verify=True)
    ```
    """
    folder = Path(folder)
    check_empty(folder)
    name = export_dtype(model, dtype)
    chat = chat_of(chat_template)
    if verify:
        check_comparable(model, prompts)
    stored = numpy_dtype(name)
    plain = plain_model(model, dtype)
    backbone = backbone_of(plain)
    family = export_family_of(backbone)
    positions = longest_text(backbone, max_positions)
    preprocessor = getattr(plain, "preprocessor", None)
    ids = token_ids(preprocessor, chat=chat is not None)
    config = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "torch_dtype": name,
        **family.config(backbone),
        **ids,
    }
    key = "n_positions" if "n_positions" in config else _POSITIONS
    config[key] = positions
    tensors = tensors_of(backbone, family.weights)
    size = sum(math.prod(t.shape) for t in tensors) * stored.itemsize
    padded = 0
    if plain is not model:
        padded = padding(tensors, family.weights) * stored.itemsize
    say_padding(size, padded)
    with write_whole(folder, size) as part:
        part.mkdir()
        files = write_shards(tensors, part, stored, shard_bytes)
        _write_json(part / "config.json", config)
        _write_json(part / "generation_config.json", ids)
        if preprocessor is not None:
            write_tokenizer(
                preprocessor,
                part,
                family.split,
                positions,
                chat.source if chat else None,
            )
        (part / "README.md").write_text(
            model_card(model, family, name, card), encoding="utf-8"
        )
    difference = None
    if verify:
        difference = largest_difference(model, folder, prompts)
    return Export(folder, size, padded, files, difference)


def say_padding(size: int, padded: int) -> None:
    """Report on stderr what will be written, and how much is padding."""
    text = f"Writing {size:,} bytes of weights"
    if padded:
        text += (
            f", {padded:,} of them zeros that pad blocks which grew less than "
            "others to the common width"
        )
    print(f"{text}.", file=sys.stderr)


_POSITIONS = "max_position_embeddings"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
