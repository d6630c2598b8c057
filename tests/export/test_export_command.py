"""`keras-grow export` from a growth file, a run and a model."""

import dataclasses
import json

import keras
import keras_hub
import numpy as np
import pytest
import tiny_families
import tiny_tokenizers

import keras_grow
from keras_grow.command import main
from keras_grow.comparison.checkpoint import save_weights
from keras_grow.comparison.layout import run_name
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.export import check
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf

IDS = tiny_families.tokens()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A base as a preset, a growth file on it, the logits at two scales."""
    folder = tmp_path_factory.mktemp("made")
    models = keras_hub.models
    base = models.Gemma3CausalLM(
        backbone=tiny_families.backbone(
            "gemma3",
            num_layers=1,
            vocabulary_size=448,
            global_rope_scaling_factor=1.0,
        ),
        preprocessor=models.Gemma3CausalLMPreprocessor(tiny_tokenizers.gemma()),
    )
    base.save_to_preset(str(folder / "base"))
    keras_grow.grow_model(base)
    for weight in base.trainable_weights:
        weight.assign(keras.random.normal(weight.shape, seed=1))
    keras_grow.save_growth(base, folder / "french.grow.safetensors")
    (name,) = keras_grow.growths(base)
    logits = {}
    for scale in (1, 0.5):
        keras_grow.set_growths(base, {name: scale})
        logits[scale] = check.logits(base, [IDS])[0]
    return folder, logits


def test_a_growth_file_becomes_a_transformers_folder(made, tmp_path, capsys):
    folder, logits = made
    growth = str(folder / "french.grow.safetensors")
    out = str(tmp_path / "out")
    options = ["--to", "transformers", "--model", str(folder / "base")]
    assert main(["export", growth, out, *options, "--verify"]) == 0
    printed = capsys.readouterr().out
    assert f"wrote {out}" in printed
    assert float(printed.rsplit(maxsplit=1)[1]) < 1e-4
    found = check.transformers_logits(check.load_transformers(out), IDS)
    np.testing.assert_allclose(found, logits[1], rtol=0, atol=1e-4)
    # Without its base a growth is nothing, and the folder is taken now.
    assert main(["export", growth, out, "--to", "gguf"]) == 1
    assert "Expected --model" in capsys.readouterr().err
    assert main(["export", growth, out, *options]) == 1
    assert "new or empty" in capsys.readouterr().err


def test_a_run_becomes_a_gguf_file_with_its_scores(made, tmp_path, capsys):
    folder, logits = made
    method = Method("G-Freeze", "g_freeze", learning_rate=1e-4)
    plan = Plan(str(folder / "base"), "multi30k", (method,))
    plan_file = tmp_path / "plan.json"
    plan_file.write_text(json.dumps(dataclasses.asdict(plan)))
    own = tmp_path / run_name(method, 0)
    own.mkdir()
    (folder / "french.grow.safetensors").rename(own / "growth.grow.safetensors")
    row = {"method": "G-Freeze", "seed": 0, "step": 60}
    row |= {"seconds_a_step": 1.0, "training_loss": 1.0}
    row["scores"] = {"new/chrf": 41.25, "old/loss": None}
    row["details"] = {name: {"metric": "m", "n": 1} for name in row["scores"]}
    (tmp_path / "results.jsonl").write_text(json.dumps(row) + "\n")
    path = str(tmp_path / "out.gguf")
    options = ["--to", "gguf", "--quantization", "f32"]
    assert main(["export", str(tmp_path), path, *options]) == 1
    assert f"Its runs that kept their weights: {own}" in capsys.readouterr().err
    try:
        assert main(["export", str(own), path, *options]) == 0
        # The growth file alone: the plan above it names its base.
        growth, other = (
            str(own / "growth.grow.safetensors"),
            tmp_path / "x.gguf",
        )
        assert main(["export", growth, str(other), *options]) == 0
    finally:
        (own / "growth.grow.safetensors").rename(
            folder / "french.grow.safetensors"
        )
    again = check.logits(load_gemma3_gguf(other), [IDS])[0]
    found = check.logits(load_gemma3_gguf(path), [IDS])[0]
    np.testing.assert_array_equal(again, found)
    np.testing.assert_allclose(found, logits[1], rtol=0, atol=1e-4)
    card = (tmp_path / "out.gguf.md").read_text()
    assert "| new/chrf, after 60 updates | 41.25 |" in card
    assert "Trained on: multi30k" in card
    assert "old/loss" not in card


def test_a_run_of_lora_becomes_a_gguf_file(made, tmp_path):
    folder, _ = made
    method = Method("lora", "lora", learning_rate=1e-4, rank=2)
    plan = Plan(str(folder / "base"), f"{folder}/rows.jsonl", (method,))
    (tmp_path / "plan.json").write_text(plan.to_json())
    (tmp_path / "results.jsonl").write_text("")
    lm = method.prepare(keras_grow.load_causal_lm(plan.model))
    for weight in lm.trainable_weights:
        weight.assign(keras.random.normal(weight.shape, seed=1) / 8)
    own = tmp_path / run_name(method, 0)
    own.mkdir()
    path = str(tmp_path / "out.gguf")
    words = ["export", str(own), path, "--to", "gguf", "--quantization", "f32"]
    assert main(words) == 1
    save_weights(lm, own / "weights.safetensors")
    assert main(words) == 0
    expected = check.logits(lm, [IDS])[0]
    found = check.logits(load_gemma3_gguf(path), [IDS])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    card = (tmp_path / "out.gguf.md").read_text()
    assert "Trained on: rows.jsonl, by lora" in card
    assert str(folder) not in card


@pytest.mark.parametrize(
    ("name", "scale", "given"),
    [
        ("preset", 0.5, ["growth_1=0.5"]),
        # The name goes before the number for all.
        ("a.keras", 1, ["0.25", "growth_1=1"]),
    ],
)
def test_a_growth_file_becomes_a_plain_keras_model_at_a_scale(
    made, tmp_path, name, scale, given, capsys
):
    folder, logits = made
    growth = str(folder / "french.grow.safetensors")
    out = tmp_path / name
    options = ["--to", "keras", "--model", str(folder / "base")]
    options += ["--scale", *given]
    assert main(["export", growth, str(out), *options]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Keras on {keras.config.backend()}\n")
    if out.is_file():
        plain = keras.saving.load_model(out, compile=False)
    else:
        plain = keras_hub.models.CausalLM.from_preset(str(out))
    assert type(plain) is keras_hub.models.Gemma3CausalLM
    assert type(plain.backbone) is keras_hub.models.Gemma3Backbone
    found = check.logits(plain, [IDS])[0]
    np.testing.assert_allclose(found, logits[scale], rtol=0, atol=1e-4)
    assert np.abs(logits[1] - logits[0.5]).max() > 1e-2
    assert [p.name for p in tmp_path.iterdir()] == [name]
