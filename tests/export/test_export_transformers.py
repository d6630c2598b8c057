"""The folder that `export_transformers` writes, and what it refuses."""

import errno
import json
import shutil
import sys
import tracemalloc
import types

import keras
import keras_hub
import numpy as np
import pytest
import tiny_families
from safetensors import safe_open
from tiny_models import tiny_lm
from transformers import AutoTokenizer

import keras_grow
from keras_grow import export_transformers
from keras_grow.export import arrange
from keras_grow.export import check
from keras_grow.export import shards
from keras_grow.export.tensors import tensors_of
from keras_grow.export.weight_maps import Row
from keras_grow.export.weight_maps import WeightMap
from keras_grow.tasks import ChatTemplate

pytestmark = pytest.mark.usefixtures("little_garbage")


@pytest.fixture(scope="module")
def lm():
    """A Gemma 3 with a tokenizer, one of its two blocks grown."""
    lm = tiny_lm(tokenizer=True, image_size=None, num_layers=2)
    keras_grow.grow_model(lm, layers=1)
    return tiny_families.known(lm)


def test_verify_reports_the_largest_difference(lm, tmp_path, capsys):
    exported = export_transformers(
        lm, tmp_path / "out", verify=True, prompts=["the quick brown fox"]
    )
    assert exported.largest_difference < 1e-4
    # One block lacks 24 neurons of 3 times 16 weights of 4 bytes.
    assert exported.padding_bytes == 24 * 3 * 16 * 4
    assert (
        f"{exported.padding_bytes:,} of them zeros" in capsys.readouterr().err
    )


def test_verify_finds_a_wrong_weight(lm, tmp_path, monkeypatch):
    write = shards.Tensor.read

    def wrong(self, dtype):
        value = write(self, dtype)
        return value * 1.5 if "model.norm" in self.name else value

    monkeypatch.setattr(shards.Tensor, "read", wrong)
    exported = export_transformers(lm, tmp_path / "out", verify=True)
    assert exported.largest_difference > 1e-2


@pytest.mark.parametrize("loaded", [True, False])
def test_triton_is_not_imported_beside_tensorflow(
    loaded, tmp_path, monkeypatch
):
    """Importing it would end the process; no CPU build of torch shows that."""
    for name in ("triton", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.delitem(sys.modules, "triton")
    if not loaded:
        monkeypatch.delitem(sys.modules, "tensorflow")
    with pytest.raises(ValueError, match="Unrecognized model"):
        check.load_transformers(tmp_path)
    assert ("triton" in sys.modules) == loaded


def test_configs_name_tokens_dtype_class_and_length(lm, tmp_path):
    export_transformers(lm, tmp_path / "out", dtype="bfloat16")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["architectures"] == ["Gemma3ForCausalLM"]
    assert config["torch_dtype"] == "bfloat16"
    assert config["max_position_embeddings"] == 32768
    assert config["intermediate_size"] == 48
    ids = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    assert config.items() >= ids.items()
    found = json.loads((tmp_path / "out/generation_config.json").read_text())
    assert found == ids
    with safe_open(tmp_path / "out/model.safetensors", "numpy") as file:
        assert file.get_slice("model.norm.weight").get_dtype() == "BF16"


def test_a_chat_template_is_found_by_name_and_its_turns_end_answers(
    lm, tmp_path
):
    export_transformers(
        lm, tmp_path / "out", chat_template="gemma", max_positions=64
    )
    ends = [1, lm.preprocessor.tokenizer.token_to_id("<end_of_turn>")]
    found = json.loads((tmp_path / "out/generation_config.json").read_text())
    assert found["eos_token_id"] == ends
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["max_position_embeddings"] == 64
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    chat = [{"role": "user", "content": "hello"}]
    assert theirs.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
    ) == ChatTemplate.of("gemma").render(chat, add_generation_prompt=True)


def test_shards_hold_the_same_weights_as_one_file(lm, tmp_path):
    whole = export_transformers(lm, tmp_path / "whole")
    parts = export_transformers(lm, tmp_path / "parts", shard_bytes=8_000)
    assert whole.files == 1
    assert parts.files > 2
    index = json.loads((tmp_path / "parts" / shards.INDEX_FILE).read_text())
    assert index["metadata"]["total_size"] == parts.weight_bytes
    with safe_open(tmp_path / "whole/model.safetensors", "numpy") as file:
        assert set(index["weight_map"]) == set(file.keys())
        for name, part in index["weight_map"].items():
            with safe_open(tmp_path / "parts" / part, "numpy") as shard:
                found = shard.get_tensor(name)
            np.testing.assert_array_equal(found, file.get_tensor(name))
    files = sorted((tmp_path / "parts").glob("*.safetensors"))
    assert max(file.stat().st_size for file in files) < 12_000
    ids = tiny_families.tokens() % 80
    np.testing.assert_allclose(
        check.transformers_logits(
            check.load_transformers(tmp_path / "parts"), ids
        ),
        check.logits(lm, [ids])[0],
        atol=1e-4,
    )


def test_one_tensor_is_in_memory_at_a_time(tmp_path):
    size = 1 << 20
    kernel = np.zeros((1024, 1024), "float32")
    blocks = [types.SimpleNamespace(kernel=kernel) for _ in range(16)]
    model = types.SimpleNamespace(transformer_layers=blocks)
    rows = (Row("kernel", ("kernel",), arrange.transpose),)
    tensors = tensors_of(model, WeightMap((), rows))
    tracemalloc.start()
    shards.write_shards(tensors, tmp_path, kernel.dtype, 10**9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "model.safetensors").stat().st_size > 16 * 4 * size
    assert peak < 3 * 4 * size


def test_lora_is_merged_into_the_kernels(tmp_path):
    model = tiny_families.backbone("gemma3", num_layers=1)
    model.enable_lora(2)
    tiny_families.known(model)
    ids = tiny_families.tokens()
    export_transformers(model, tmp_path / "out")
    theirs = check.load_transformers(tmp_path / "out")
    np.testing.assert_allclose(
        check.transformers_logits(theirs, ids),
        check.logits(model, [ids])[0],
        atol=1e-4,
    )


def test_the_card_says_where_the_weights_come_from(lm, tmp_path):
    card = {
        "base": "google/gemma-3-270m",
        "data": "Multi30k",
        "scores": {"chrF": 41.5},
    }
    export_transformers(lm, tmp_path / "out", card=card)
    text = (tmp_path / "out/README.md").read_text()
    assert "base_model: google/gemma-3-270m" in text
    assert "license: gemma" in text
    assert "https://ai.google.dev/gemma/terms" in text
    assert "factor 2, g_freeze" in text
    assert "| chrF | 41.5 |" in text
    assert "AutoModelForCausalLM.from_pretrained" in text
    with pytest.raises(ValueError, match="Received: \\['mood'\\]"):
        export_transformers(lm, tmp_path / "no", card={"mood": "good"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_folder_that_is_not_empty_is_refused_and_unchanged(lm, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="new or empty"):
        export_transformers(lm, tmp_path)
    with pytest.raises(ValueError, match="new or empty"):
        export_transformers(lm, tmp_path / "notes.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_disk_that_fills_up_leaves_nothing_behind(lm, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shards.Tensor, "read", full)
        with pytest.raises(OSError, match="No space left"):
            export_transformers(lm, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="bytes of room"):
        export_transformers(lm, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("grown", [False, True])
def test_a_weight_too_large_for_float16_is_refused(grown, tmp_path):
    lm = tiny_lm(tokenizer=True, image_size=None, num_layers=1)
    kernel = lm.backbone.transformer_layers[0].ffw_linear.kernel
    kernel.assign(np.full(kernel.shape, 1e6))
    if grown:
        keras_grow.grow_model(lm)
    with pytest.raises(ValueError, match=r"65504.*mlp\.down_proj"):
        export_transformers(lm, tmp_path / "out", dtype="float16")
    with pytest.raises(ValueError, match=r"65504.*blk\.0\.ffn_down"):
        keras_grow.export_gguf(lm, tmp_path / "out.gguf", "f16")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path):
    export_transformers(tiny_families.backbone("gpt2"), tmp_path)
    assert (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(chat_template="gemma5"), "template='gemma5'"),
        (dict(chat_template="{% for m in messages %}\n{{ m }}"), "Line 2"),
        (dict(max_positions=0), "max_positions=0"),
        (dict(verify=True, prompts="hello"), "list of texts"),
        (dict(verify=True, prompts=["", ""]), "texts with tokens in them"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    lm, tmp_path, options, message
):
    with pytest.raises(ValueError, match=message):
        export_transformers(lm, tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_verify_without_transformers_is_refused_before_anything_is_written(
    lm, tmp_path, monkeypatch
):
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match="pip install transformers torch"):
        export_transformers(lm, tmp_path / "out", verify=True)
    assert list(tmp_path.iterdir()) == []


def test_models_that_cannot_be_exported_are_refused(lm, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="Received: dtype='int8'"):
        export_transformers(lm, out, dtype="int8")
    with (
        keras_grow.growth_disabled(lm),
        pytest.raises(ValueError, match="inside `growth_disabled`"),
    ):
        export_transformers(lm, out)
    with pytest.raises(TypeError, match="Expected a KerasHub model"):
        export_transformers(keras.Sequential([keras.layers.Dense(1)]), out)
    other = keras_hub.models.BertBackbone(
        vocabulary_size=9,
        num_layers=1,
        num_heads=1,
        hidden_dim=4,
        intermediate_dim=4,
    )
    with pytest.raises(ValueError, match="Received: BertBackbone"):
        export_transformers(other, out)
    quantized = tiny_families.backbone("llama")
    quantized.token_embedding.quantize("int8")
    with pytest.raises(ValueError, match="Expected a float model"):
        export_transformers(quantized, out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("family", "override"),
    [
        ("gemma3", {"attention_logit_soft_cap": 50.0}),
        ("gemma", {"final_logit_soft_cap": 30.0}),
    ],
)
def test_settings_that_transformers_computes_differently_are_refused(
    family, override, tmp_path
):
    model = tiny_families.backbone(family, num_layers=1, **override)
    (name,) = override
    with pytest.raises(ValueError, match=f"Received: {name}="):
        export_transformers(model, tmp_path / "out")
