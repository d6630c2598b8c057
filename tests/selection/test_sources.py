"""Kernels are read from wherever they are kept, or refused with the reason."""

import json
from operator import attrgetter

import keras
import numpy as np
import pytest
from family_models import few_programs
from family_models import tiny_backbone
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

from keras_grow import grow_model
from keras_grow import rank_layers
from keras_grow.analysis import KernelSnapshots
from keras_grow.analysis import effective_rank_map
from keras_grow.command import main
from keras_grow.growth.families import family_of
from keras_grow.selection import LayerUpdateRecorder
from keras_grow.selection import rank_by_gradient
from keras_grow.selection import rank_by_signal_to_noise
from keras_grow.selection import save_kernels

QUERY = ["attention.query_dense"]


def fitted(callback) -> keras.Model:
    lm = tiny_lm()
    lm.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = token_batch()
    lm.fit(x, x["token_ids"], verbose=0, callbacks=[callback])
    return lm


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.usefixtures("little_garbage")
def test_the_codes_of_a_quantized_checkpoint_are_not_ranked(tmp_path):
    lm = tiny_lm()
    lm.backbone.quantize("int8")
    path = str(tmp_path / "quantized.weights.h5")
    lm.save_weights(path)
    for refused in (
        lambda: rank_layers(path, path),
        lambda: rank_by_signal_to_noise(path),
        lambda: save_kernels(path, tmp_path / "kernels"),
    ):
        with pytest.raises(ValueError, match=r"float kernel.*int8.*quantized"):
            refused()
    assert not (tmp_path / "kernels").exists()


@pytest.mark.parametrize("layers", [1, None])
def test_a_grown_checkpoint_is_refused_as_the_grown_model_is(tmp_path, layers):
    path = str(tmp_path / "grown.weights.h5")
    grow_model(tiny_lm(), layers=layers).save_weights(path)
    # Its blocks that are not grown look like a model of fewer blocks.
    with pytest.raises(ValueError, match="neither grown nor quantized"):
        rank_layers(path, path)


def test_a_snapshot_of_attention_alone_is_read(tmp_path):
    before, after = tiny_lm(), tiny_lm(seed=1)
    save_kernels(before, tmp_path / "query", over=QUERY)
    wanted = rank_layers(before, after, over=QUERY)
    assert rank_layers(tmp_path / "query", after, over=QUERY) == wanted


def test_attention_alone_is_recorded_and_mapped_over_a_fit(tmp_path):
    recorder = LayerUpdateRecorder(over=QUERY)
    lm = fitted(recorder)
    assert recorder.scores == rank_layers(tiny_lm(), lm, over=QUERY)
    fitted(KernelSnapshots(tmp_path, every=1, over=QUERY))
    from_disk = effective_rank_map(tmp_path, over=QUERY)
    assert from_disk == effective_rank_map({0: tiny_lm(), 1: lm}, over=QUERY)


def test_files_beside_those_of_a_snapshot_are_not_read(tmp_path):
    lm = tiny_lm()
    save_kernels(lm, tmp_path / "start")
    (tmp_path / "start" / ".DS_Store").write_bytes(b"x")
    assert rank_layers(tmp_path / "start", lm).scores == (0.0, 0.0)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"weight_map": 1}'])
def test_a_damaged_index_of_shards_is_named(tmp_path, text):
    path = tmp_path / "model.weights.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"index of a sharded.*weights\.json"):
        rank_layers(path, tiny_lm())


@pytest.mark.parametrize("name", ["lm.weights.h5", "lm.keras", "kernels"])
def test_a_damaged_file_of_weights_is_named(tmp_path, name, capsys):
    lm = tiny_lm("gemma", num_layers=1)
    path = damaged = tmp_path / name
    if name == "kernels":
        save_kernels(lm, path)
        damaged = min(path.iterdir())
    else:
        (lm.save if name == "lm.keras" else lm.save_weights)(path)
    raw = damaged.read_bytes()
    for broken in (b"", b"not weights", raw[:50], raw[: len(raw) // 2]):
        damaged.write_bytes(broken)
        with pytest.raises(ValueError, match=rf"Expected.*{name}"):
            rank_layers(path, lm)
    assert main(["rank", str(path), str(path)]) == 1
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert name in said


def test_shards_are_found_by_the_index_of_keras(tmp_path):
    path = tmp_path / "lm.weights.json"
    tiny_lm().save_weights(path, max_shard_size=1e-5)
    assert json.loads(path.read_text())["weight_map"]
    assert rank_layers(path, tiny_lm()).scores == (0.0, 0.0)


def test_what_a_fit_could_not_record_is_refused_before_it_trains(tmp_path):
    trained = []
    after = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: trained.append(batch)
    )
    for callback in (
        LayerUpdateRecorder(before=tmp_path / "none.weights.h5"),
        LayerUpdateRecorder(before=tiny_lm(), over=["gate"]),
        LayerUpdateRecorder(before=tiny_lm(num_layers=3)),
        KernelSnapshots(tmp_path, steps=[1], over=["gate"]),
    ):
        both = keras.callbacks.CallbackList([callback, after])
        with pytest.raises((ValueError, FileNotFoundError), match="Expected"):
            fitted(both)
    assert trained == []


@pytest.mark.parametrize("name", ["Gemma", "Llama"])
def test_the_rank_of_a_change_of_attention_is_over_all_heads(name):
    with few_programs():
        before, after = tiny_backbone(name), tiny_backbone(name)
    after.set_weights(before.get_weights())
    family = family_of(before)
    into = "ndh" if name == "Gemma" else "dnh"
    rng = np.random.default_rng(0)
    for block in family.blocks_of(after):
        for slot in family.attention:
            kernel = attrgetter(slot)(block).kernel
            axes = "nhd" if slot == family.attention[-1] else into
            size = dict(zip(axes, kernel.shape, strict=True))
            # The change has rank 1 as a matrix of hidden units by heads, and a
            # higher rank in any other arrangement.
            hidden = rng.normal(size=size["d"])
            heads = rng.normal(size=(size["n"], size["h"]))
            change = np.einsum(f"d,nh->{axes}", hidden, heads)
            kernel.assign(ops.convert_to_numpy(kernel) + change)
    ranks = effective_rank_map({0: before, 1: after}, over=family.attention)
    np.testing.assert_allclose(ranks.grid(), 1.0, atol=1e-3)


def test_layers_under_lora_are_named_as_frozen():
    lm = tiny_lm()
    lm.backbone.transformer_layers[0].ffw_linear.enable_lora(2)
    x = token_batch()
    with pytest.raises(ValueError, match=r"frozen \['.*ffw_linear/kernel'\]"):
        rank_by_gradient(lm, [(x, x["token_ids"])])
