"""GGUF files that are damaged or crafted are refused, with what is wrong."""

import struct
import tracemalloc
import warnings

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="needs the gguf package")

import tiny_gguf  # noqa: E402

from keras_grow.loading import gemma3_gguf  # noqa: E402
from keras_grow.loading.gemma3_layout import backbone_arguments  # noqa: E402
from keras_grow.loading.gemma3_layout import query_gain  # noqa: E402
from keras_grow.loading.gemma3_layout import slots  # noqa: E402
from keras_grow.loading.gemma3_vocabulary import sentencepiece_proto  # noqa: E402
from keras_grow.loading.gguf_file import read_gguf  # noqa: E402

BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = 7, 8, 9, 10, 11, 12
WRONG = [
    None,
    "x",
    "x" * 5000,
    False,
    0,
    -1,
    2**63,
    -(2**63),
    1e300,
    float("nan"),
    float("inf"),
    [],
    [1.5, -2.5],
    [2**63] * 400,
    [float("nan")] * 400,
    ["a"],
    ["a"] * 400,
    ["", "\0"],
]


pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """No model is made in these tests, so there is nothing to clear."""


content = pytest.fixture(scope="module")(tiny_gguf.content)


@pytest.fixture
def little_memory():
    """Check that a test takes a few megabytes at most, Keras' not counted."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.fixture
def received(tmp_path):
    """What is said of a file; nothing if it could be loaded."""

    def check(raw):
        path = tmp_path / "tiny.gguf"
        path.write_bytes(raw)
        said = ""
        try:
            _load_all_but_weights(path)
        except ValueError as error:
            said = str(error)
        assert said == "" or (said.startswith("Expected") and len(said) < 1000)
        return said

    return check


def _load_all_but_weights(path):
    file = read_gguf(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gemma3_gguf._tokenizer(sentencepiece_proto(file.metadata))
    arguments = backbone_arguments(file.metadata)
    rows = gemma3_gguf._vocabulary_size(file)
    gain = query_gain(file.metadata)
    gemma3_gguf._check_tensors(file, slots(arguments, rows, gain))


def _string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value):
    """A type number and the bytes of a value."""
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        kind, letter = (UINT64, "Q") if value >= 0 else (INT64, "q")
        return kind, struct.pack(f"<{letter}", value)
    if isinstance(value, float):
        return FLOAT64, struct.pack("<d", value)
    if isinstance(value, str):
        return STRING, _string(value)
    kinds = [_value(each)[0] for each in value] or [UINT64]
    head = struct.pack("<IQ", kinds[0], len(value))
    return ARRAY, head + b"".join(_value(each)[1] for each in value)


def _file(metadata, tensors):
    """A GGUF file; tensors are `(name, shape, kind, bytes)`."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        kind, raw = _value(value)
        head += _string(key) + struct.pack("<I", kind) + raw
    data = b""
    for name, shape, kind, raw in tensors:
        head += _string(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", kind, len(data))
        data += raw + b"\0" * (-len(raw) % 32)
    return head + b"\0" * (-len(head) % 32) + data


def _tensors(arrays):
    return [
        (name, array.shape[::-1], 0, array.astype("float32").tobytes())
        for name, array in arrays.items()
    ]


@pytest.mark.usefixtures("little_memory")
def test_damaged_bytes_are_refused_or_harmless(content, received):
    raw = _file(content[0], _tensors(content[1]))
    header = len(raw) - sum(a.nbytes for a in content[1].values())
    assert received(raw) == ""
    rng = np.random.default_rng(0)
    said = []
    for trial in range(200):
        damaged = bytearray(raw)
        for place in rng.integers(0, header, 1 + trial % 4).tolist():
            new = rng.integers(0, 256, 1 + trial % 9, dtype=np.uint8).tobytes()
            match trial % 5:
                case 0 | 1:
                    damaged[place] = new[0]
                case 2:
                    damaged[place:place] = new
                case 3:
                    del damaged[place : place + len(new)]
                case 4:
                    # The lengths and counts of the format are of this form.
                    damaged[place : place + 8] = b"\xff" * 4 + b"\0" * 4
        said.append(received(bytes(damaged)))
    # Some bytes carry no claim: letters of tokens, digits of scores.
    assert 0 < said.count("") < 100
    for length in rng.integers(0, len(raw) - 32, 40).tolist():
        assert "whole GGUF file" in received(raw[:length])


def test_metadata_of_any_type_and_size_is_accepted_or_named(content, received):
    metadata, arrays = content
    tensors = _tensors(arrays)
    optional = {
        "general.alignment": 32,
        "split.count": 1,
        "gemma3.rope.freq_base_swa": 1e4,
        "gemma3.attention.sliding_window_pattern": 6,
        "gemma3.attention.scale": 0.5,
        "gemma3.attn_logit_softcapping": 50.0,
        "gemma3.final_logit_softcapping": 30.0,
        "gemma3.rope.scaling.type": "linear",
        "gemma3.rope.scaling.factor": 8.0,
        "gemma3.rope.scale_linear": 8.0,
    }
    whole = {**metadata, **optional}
    assert received(_file(whole, tensors)) == ""
    for key in whole:
        for wrong in WRONG:
            changed = {**whole, key: wrong}
            if wrong is None:
                del changed[key]
            said = received(_file(changed, tensors))
            # By another key, where the two contradict each other.
            named = (key, "GGUF key", "tensor", "architecture")
            assert not said or any(n in said for n in named), (key, wrong, said)
    # 62 blocks are Gemma 3 27B, whose width over its heads matters.
    large = {"gemma3.block_count": 62, "gemma3.attention.head_count": 64}
    assert "tensor" in received(_file({**metadata, **large}, tensors))


@pytest.mark.usefixtures("little_memory")
def test_tensors_of_any_shape_type_and_name_are_accepted_or_named(
    content, received
):
    metadata, arrays = content
    tensors = _tensors(arrays)
    names = [name for name, *_ in tensors]
    rng = np.random.default_rng(0)
    for number in [0, 1, *rng.integers(2, len(tensors), 3).tolist()]:
        name, shape, kind, raw = tensors[number]
        rows = shape[1:] or (1,)
        others = [
            (name, shape[::-1] if len(shape) > 1 else (1, *shape), kind, raw),
            (name, (2**64 - shape[0], *shape[1:]), kind, raw),
            (name, (2**63, *rows), kind, raw),
            (name, (0, *rows), kind, b""),
            (name, (*shape, 1), kind, raw),
            (name, (), kind, raw),
            (name, (1,) * 5, kind, raw),
            (name, shape, kind, raw[:-4]),
            *[(name, shape, other, raw) for other in (1, 8, 12, 24, 2**31)],
            (f"{name}x", shape, kind, raw),
            ("", shape, kind, raw),
            (names[number - 1], shape, kind, raw),
        ]
        for other in others:
            crafted = [*tensors[:number], other, *tensors[number + 1 :]]
            said = received(_file(metadata, crafted))
            assert not said or "tensor" in said, (other[:3], said)
