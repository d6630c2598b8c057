"""A KerasHub model as a GGUF file, which llama.cpp and Ollama run."""

import math
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.export.card import model_card
from keras_grow.export.check import check_comparable
from keras_grow.export.check import largest_difference
from keras_grow.export.families import FAMILIES
from keras_grow.export.families import ExportFamily
from keras_grow.export.families import export_family_of
from keras_grow.export.folder import write_whole
from keras_grow.export.gguf_layout import change
from keras_grow.export.gguf_layout import metadata
from keras_grow.export.gguf_layout import rope_factors
from keras_grow.export.gguf_tokenizer import tokenizer_keys
from keras_grow.export.modelfile import modelfile
from keras_grow.export.modelfile import without_generation_tags
from keras_grow.export.options import chat_of
from keras_grow.export.options import longest_text
from keras_grow.export.plain import plain_model
from keras_grow.export.tensors import Tensor
from keras_grow.export.tensors import check_float16
from keras_grow.export.tensors import padding
from keras_grow.export.tensors import tensors_of
from keras_grow.export.to_transformers import Export
from keras_grow.export.to_transformers import say_padding
from keras_grow.files import write_atomically
from keras_grow.growth.families import backbone_of
from keras_grow.tasks.chat_template import ChatTemplate

QUANTIZATIONS = ("f32", "f16", "bf16", "q8_0")
_FLOAT32 = np.dtype(np.float32)


def export_gguf(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantization: str = "bf16",
    *,
    verify: bool = False,
    prompts: Sequence[str] | None = None,
    max_positions: int | None = None,
    chat_template: str | ChatTemplate | None = None,
    card: Mapping[str, Any] | None = None,
) -> Export:
    """Write a model as a GGUF file, which llama.cpp and Ollama run.

    A grown model is merged first, in its current state, and LoRA is folded in.
    Matrices are written in `quantization`, vectors in float32. The file is
    written whole or not at all. Two more are written beside it: a model card
    (its name with `.md` added) and what Ollama needs (with `.Modelfile`).

    Gemma 3 (text), Llama 2 and 3, Mistral, Qwen 2 and 3 can be exported.

    Args:
        model: a KerasHub `CausalLM` with its preprocessor, grown or not.
        path: the file to write, customarily `*.gguf`. It must not exist.
        quantization: `"f32"`, `"f16"`, `"bf16"` or `"q8_0"` (eight bits,
            with one scale for every 32 weights of a row).
        verify: whether to load the file with `transformers` and compare
            logits. It assumes the head sizes of the published Gemma 3 and Qwen
            3, and ignores rotary scaling.
        prompts: texts to compare them on. Defaults to built-in texts.
        max_positions: the longest text that the file promises. Defaults to
            that of the family's published models.
        chat_template: the chat template to put into the file and, in
            Ollama's language, into the `Modelfile`; such as `"gemma"`, or the
            source of one. See `ChatTemplate.of`.
        card: see `export_transformers`.

    Returns:
        What was written: see `export_transformers`.

    Raises:
        TypeError: if `model` is not a KerasHub model.
        ValueError: if the file exists, the quantization or the chat template
            is unknown, the family cannot be exported or computed by
            llama.cpp, the model has no tokenizer, is quantized or inside
            `growth_disabled`, or a weight is too large for float16.
        OSError: if the disk is full.
        ImportError: if the `gguf` package is not installed.

    Example:

    ```python
    keras_grow.export_gguf(lm, "french.gguf", "q8_0")
    ```
    """
    path = Path(path)
    if quantization not in QUANTIZATIONS:
        raise ValueError(
            f"Expected `quantization` to be one of {', '.join(QUANTIZATIONS)}."
            f" Received: quantization={quantization!r}"
        )
    if path.exists():
        raise ValueError(
            "Expected the path of a new file. Received: "
            f"{os.fspath(path)!r}, which exists. Remove it yourself, or name "
            "another."
        )
    gguf = _gguf()
    chat = chat_of(chat_template)
    if verify:
        check_comparable(model, prompts, gguf_file=True)
    plain = plain_model(model, "float32")
    backbone = backbone_of(plain)
    family = export_family_of(backbone)
    arch = _architecture(family)
    preprocessor = getattr(plain, "preprocessor", None)
    if preprocessor is None:
        raise ValueError(
            "Expected a task with a preprocessor: a GGUF file contains the "
            f"tokenizer. Received: {type(model).__name__} without one."
        )
    config = family.config(backbone)
    config["max_position_embeddings"] = longest_text(backbone, max_positions)
    keys = {
        "general.name": path.stem,
        "general.file_type": _file_type(gguf, quantization),
        "general.quantization_version": 2,
        **metadata(arch, config),
        **tokenizer_keys(
            preprocessor,
            config["vocab_size"],
            family.split,
            without_generation_tags(chat.source) if chat else None,
        ),
    }
    tensors = tensors_of(backbone, family.weights)
    entries = _entries(gguf, arch, config, tensors, quantization)
    size = sum(_bytes(gguf, shape, kind) for _, shape, kind, _ in entries)
    padded = 0
    if plain is not model:
        share = padding(tensors, family.weights)
        padded = share * size // sum(math.prod(t.shape) for t in tensors)
    ollama = modelfile(path.name, chat)
    load = _load(path.name, ollama)
    text = model_card(model, family, quantization, card, load)
    say_padding(size, padded)
    with write_whole(path, size) as part:
        _write(gguf, part, arch, keys, entries)
    for suffix, words in (("md", text), ("Modelfile", ollama)):
        with write_atomically(path.with_name(f"{path.name}.{suffix}")) as file:
            file.write(words)
    difference = None
    if verify:
        difference = largest_difference(model, path, prompts)
    return Export(path, size, padded, 1, difference)


_Entry = tuple[str, tuple[int, ...], Any, Callable[[], NDArray[Any]]]


def _entries(
    gguf: Any,
    arch: str,
    config: dict[str, Any],
    tensors: Sequence[Tensor],
    quantization: str,
) -> list[_Entry]:
    """Name, shape, type and reader of each tensor, in the file's order."""
    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH[arch.upper()], config["num_hidden_layers"]
    )
    found: list[_Entry] = []
    for tensor in tensors:
        name = names.get_name(tensor.name, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ValueError(
                f"Expected llama.cpp to have a place for {tensor.name} in a "
                f"{arch} model. Received: none. Update the `gguf` package."
            )
        arrange = change(arch, tensor.name, config)

        def read(
            tensor: Tensor = tensor,
            arrange: Callable[[NDArray[Any]], NDArray[Any]] = arrange,
        ) -> NDArray[Any]:
            return arrange(tensor.read(_FLOAT32))

        kind = _kind(gguf, tensor.shape, quantization)
        found.append((name, tensor.shape, kind, read))
    factors = rope_factors(config)
    if factors is not None:
        kind = gguf.GGMLQuantizationType.F32
        found.append(
            ("rope_freqs.weight", factors.shape, kind, lambda: factors)
        )
    return found


def _kind(gguf: Any, shape: tuple[int, ...], quantization: str) -> Any:
    kinds = gguf.GGMLQuantizationType
    if len(shape) == 1:
        return kinds.F32
    kind = kinds[quantization.upper()]
    # A row that is not a multiple of the block size stays in float, as in
    # llama.cpp's converter.
    if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        return kinds.F16
    return kind


def _write(
    gguf: Any,
    path: Path,
    arch: str,
    keys: Mapping[str, Any],
    entries: Sequence[_Entry],
) -> None:
    """Write the file, one tensor in memory at a time."""
    writer = gguf.GGUFWriter(path, arch)
    try:
        for key, value in keys.items():
            _add(writer, key, value)
        for name, shape, kind, _ in entries:
            packed = gguf.quant_shape_to_byte_shape(shape, kind)
            size = math.prod(packed)
            writer.add_tensor_info(
                name, packed, np.dtype(np.uint8), size, raw_dtype=kind
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, _, kind, read in entries:
            values = np.ascontiguousarray(read())
            with np.errstate(over="ignore"):
                packed = gguf.quants.quantize(values, kind)
            if kind == gguf.GGMLQuantizationType.F16:
                check_float16(packed, name)
            writer.write_tensor_data(packed)
    finally:
        writer.close()


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _bytes(gguf: Any, shape: tuple[int, ...], kind: Any) -> int:
    return math.prod(gguf.quant_shape_to_byte_shape(shape, kind))


def _file_type(gguf: Any, quantization: str) -> int:
    names = {"f32": "ALL_F32", "q8_0": "MOSTLY_Q8_0"}
    name = names.get(quantization, f"MOSTLY_{quantization.upper()}")
    return int(gguf.LlamaFileType[name])


def _architecture(family: ExportFamily) -> str:
    if family.gguf is None:
        known = sorted({f.model_type for f in FAMILIES.values() if f.gguf})
        raise ValueError(
            f"Expected a family that is exported as GGUF: {', '.join(known)}."
            f" Received: {family.model_type}. Use `export_transformers` and "
            "llama.cpp's own converter."
        )
    return family.gguf


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise ImportError(
            "Expected the `gguf` package, which writes GGUF files. Install it "
            "in a clone of keras_grow: `pip install '.[gguf]'`."
        ) from error
    return gguf


def _load(name: str, ollama: str) -> str:
    return (
        "With llama.cpp:\n\n"
        f'```\nllama-cli -m {name} -p "The capital of France is"\n```\n\n'
        f"With Ollama, from this `{name}.Modelfile` beside the file:\n\n"
        f"```\n{ollama}```\n\n"
        f"```\nollama create mine -f {name}.Modelfile && ollama run mine\n```"
    )
