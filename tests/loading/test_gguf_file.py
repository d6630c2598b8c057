import struct
import tracemalloc

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="needs the gguf package")

from keras_grow.loading.gguf_file import read_gguf  # noqa: E402

pytestmark = pytest.mark.no_backend

UINT32, FLOAT32, STRING, ARRAY = 4, 6, 8, 9
F32 = 0


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Keras has no part in these tests, so there is nothing to clear."""


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key, kind, raw):
    return string(key) + struct.pack("<I", kind) + raw


def tensor(name, shape, kind=F32, offset=0):
    return (
        string(name)
        + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        + struct.pack("<IQ", kind, offset)
    )


def build(entries=(), tensors=(), data=b"", start=b"GGUF\3\0\0\0", counts=None):
    counts = counts or (len(tensors), len(entries))
    header = start + struct.pack("<QQ", *counts)
    header += b"".join(entries) + b"".join(tensors)
    return header + b"\0" * (-len(header) % 32) + data


@pytest.fixture
def refused(tmp_path):
    """Check that a file is refused, with a message, taking no memory."""

    def check(raw, match):
        path = tmp_path / "bad.gguf"
        path.write_bytes(raw)
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=match):
                read_gguf(path)
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()

    return check


@pytest.mark.parametrize(
    "quantization",
    ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"],
)
def test_metadata_and_tensors_are_those_of_the_gguf_package(
    tmp_path, quantization
):
    kind = gguf.GGMLQuantizationType[quantization]
    values = np.random.default_rng(0).normal(size=(3, 5, 64)).astype("float32")
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "gemma3")
    writer.add_uint32("a.number", 2**32 - 1)
    writer.add_bool("a.truth", True)
    writer.add_int64("a.negative", -(2**62))
    writer.add_float64("a.real", 0.1)
    writer.add_string("a.text", "déjà 🎉")
    writer.add_array("a.strings", ["", "▁▁", "\n"])
    writer.add_array("a.numbers", [1.5, -2.5])
    writer.add_tensor("x", gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.add_tensor("y", np.arange(3, dtype="float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    file = read_gguf(tmp_path / "a.gguf")
    reference = gguf.GGUFReader(tmp_path / "a.gguf")
    for key, value in file.metadata.items():
        expected = reference.fields[key].contents()
        assert np.array_equal(value, expected), key
    assert {f"{key}" for key in file.metadata} == {
        key for key in reference.fields if not key.startswith("GGUF.")
    }
    for found in reference.tensors:
        expected = gguf.quants.dequantize(found.data, found.tensor_type)
        np.testing.assert_array_equal(file.read(found.name), expected)
    np.testing.assert_array_equal(file.read("y"), [0, 1, 2])


@pytest.mark.parametrize("quantization", ["Q2_K", "Q4_K", "Q6_K", "IQ4_NL"])
def test_long_tensors_are_dequantized_in_parts_alike(tmp_path, quantization):
    kind = gguf.GGMLQuantizationType[quantization]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    columns, rows = 256, 2**19 // 256 * 2 + 3
    packed = np.random.default_rng(0).integers(
        0, 100, (rows, columns // block * size), dtype=np.uint8
    )
    raw = build(
        tensors=[tensor("x", (columns, rows), kind.value)],
        data=packed.tobytes(),
    )
    path = tmp_path / "a.gguf"
    path.write_bytes(raw)
    np.testing.assert_array_equal(
        read_gguf(path).read("x"), gguf.quants.dequantize(packed, kind)
    )


def test_a_list_of_another_alignment_moves_the_data(tmp_path):
    path = tmp_path / "a.gguf"
    head = build(
        [entry("general.alignment", UINT32, struct.pack("<I", 256))],
        [tensor("x", (2,))],
    )
    head = head.ljust(-(-len(head) // 256) * 256, b"\0")
    path.write_bytes(head + struct.pack("<2f", 1.0, 2.0))
    np.testing.assert_array_equal(read_gguf(path).read("x"), [1.0, 2.0])


HUGE = 2**63
TEXT = entry("k", STRING, string("v"))


LIES = [
    (b"", "4 more bytes"),
    (b"PK\3\4" + b"\0" * 60, "b'GGUF' at its start"),
    (build(start=b"GGUF\1\0\0\0"), "version 2 or 3.*version=1"),
    (build(start=b"GGUF\7\0\0\0"), "version=7"),
    (build(start=b"GGUF\0\0\0\3"), "big-endian"),
    (build(counts=(HUGE, 0)), "tensor count that fits"),
    (build(counts=(0, HUGE)), "metadata count that fits"),
    (build([TEXT], counts=(0, 3)), "Expected .* whole GGUF"),
    (build([struct.pack("<Q", HUGE)], data=bytes(64)), "string length"),
    (build([entry(b"\xff", STRING, string("v"))]), "UTF-8"),
    (build([TEXT, TEXT]), "key='k' again"),
    (build([entry("k", 77, bytes(8))]), "type=77 at key='k'"),
    (
        build([entry("k", ARRAY, struct.pack("<IQ", STRING, HUGE))]),
        "list length that fits",
    ),
    (
        build([entry("k", ARRAY, struct.pack("<IQ", FLOAT32, HUGE))]),
        "list length that fits",
    ),
    (
        build([entry("k", ARRAY, struct.pack("<IQ", 12, 30))] * 2),
        "240 more bytes",
    ),
    (
        build([entry("k", ARRAY, struct.pack("<IQ", ARRAY, 1))]),
        "type=9 at key='k'",
    ),
    (
        build([entry("general.alignment", UINT32, bytes((3, 0, 0, 0)))]),
        "power of two",
    ),
    (
        build([entry("general.alignment", STRING, string("32"))]),
        "power of two",
    ),
    (build(tensors=[tensor("x", ())], data=bytes(64)), "0 dimensions"),
    (
        build(tensors=[tensor("x", (1,) * 5)], data=bytes(64)),
        "5 dimensions",
    ),
    (build(tensors=[tensor("x", (0, 4))], data=bytes(64)), "positive"),
    (
        build(tensors=[tensor("x", (2**40, 2**40))], data=bytes(64)),
        "tensor 'x' inside",
    ),
    (
        build(tensors=[tensor("x", (4,), offset=HUGE)], data=bytes(64)),
        "tensor 'x' inside",
    ),
    (build(tensors=[tensor("x", (17,))], data=bytes(64)), "inside its"),
    (
        build(tensors=[tensor("x", (33,), kind=8)], data=bytes(64)),
        "rows in blocks of 32",
    ),
    (
        build(tensors=[tensor("x", (4,), kind=99)], data=bytes(64)),
        "gguf package dequantizes.*type=99",
    ),
    (
        build(tensors=[tensor("x", (4,), kind=24)], data=bytes(64)),
        "gguf package dequantizes.*type=24",
    ),
    (
        build(tensors=[tensor("x", (4,))] * 2, data=bytes(64)),
        "tensor='x' again",
    ),
    (
        build(
            tensors=[tensor("x", (9,)), tensor("y", (4,), offset=32)],
            data=bytes(64),
        ),
        "'x' runs into 'y'",
    ),
]


@pytest.mark.parametrize(("raw", "match"), LIES, ids=[m for _, m in LIES])
def test_a_file_that_lies_is_refused_without_taking_memory(refused, raw, match):
    refused(raw, match)


def test_every_truncation_is_refused(refused):
    raw = build(
        [TEXT, entry("n", ARRAY, struct.pack("<IQ2f", FLOAT32, 2, 1.0, 2.0))],
        [tensor("x", (8,))],
        data=bytes(32),
    )
    for length in range(len(raw)):
        refused(raw[:length], "whole GGUF file")


def test_a_tensor_of_a_file_that_shrank_is_refused(tmp_path):
    path = tmp_path / "a.gguf"
    raw = build(tensors=[tensor("x", (8,))], data=bytes(32))
    path.write_bytes(raw)
    file = read_gguf(path)
    path.write_bytes(raw[:-4])
    with pytest.raises(ValueError, match="as long as when"):
        file.read("x")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_gguf(tmp_path / "none.gguf")
