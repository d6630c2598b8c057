"""Blocks are ranked by how far training moved them, wherever they are kept."""

import argparse
import functools
import tracemalloc

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

from keras_grow import LayerScores
from keras_grow import grow_model
from keras_grow import rank_layers
from keras_grow.command import main
from keras_grow.command import parser
from keras_grow.selection import LayerUpdateRecorder
from keras_grow.selection import save_kernels

MLP = ("gating_ffw", "gating_ffw_2", "ffw_linear")
MOVED = (0.1, 0.4, 0.0, 0.2)

four_blocks = functools.partial(tiny_lm, num_layers=4)


def moved(lm: keras.Model) -> keras.Model:
    """Scale the MLP of block `i` by `1 + MOVED[i]`: a relative change."""
    for block, share in zip(lm.backbone.transformer_layers, MOVED, strict=True):
        for slot in MLP:
            kernel = getattr(block, slot).kernel
            kernel.assign(kernel * (1.0 + share))
    return lm


def frobenius(block, slots=MLP) -> float:
    kernels = [np.array(getattr(block, s).kernel).ravel() for s in slots]
    return float(np.linalg.norm(np.concatenate(kernels).astype("float64")))


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3"])
def test_the_relative_score_is_the_share_that_each_block_moved(family):
    scores = rank_layers(four_blocks(family), moved(four_blocks(family)))
    assert list(scores) == [1, 3, 0, 2]
    np.testing.assert_allclose(scores.scores, (0.4, 0.2, 0.1, 0), atol=1e-6)


def test_the_absolute_score_is_the_norm_of_the_change():
    before = four_blocks()
    scores = rank_layers(before, moved(four_blocks()), relative=False)
    blocks = before.backbone.transformer_layers
    for block, score in zip(scores.blocks, scores.scores, strict=True):
        wanted = MOVED[block] * frobenius(blocks[block])
        assert score == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_what_the_norm_is_taken_over_can_be_chosen():
    after = four_blocks()
    kernel = after.backbone.transformer_layers[2].attention.query_dense.kernel
    kernel.assign(kernel * 1.5)
    before = four_blocks()
    assert rank_layers(before, after).scores == (0.0,) * 4
    assert rank_layers(before, after, over="all").blocks[0] == 2
    query = rank_layers(before, after, over=["attention.query_dense"])
    assert query.scores[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        ("task.weights.h5", "float32"),
        ("backbone.weights.h5", "bfloat16"),
        ("lm.keras", "float32"),
        ("preset", "bfloat16"),
    ],
)
def test_a_checkpoint_on_disk_ranks_as_the_model_does(tmp_path, form, dtype):
    before = four_blocks(dtype=dtype, tokenizer=True)
    after = moved(four_blocks(dtype=dtype, tokenizer=True))
    paths = [str(tmp_path / f"{side}_{form}") for side in ("before", "after")]
    for lm, path in zip((before, after), paths, strict=True):
        if form == "preset":
            lm.save_to_preset(path)
        elif form == "lm.keras":
            lm.save(path)
        else:
            model = lm if form.startswith("task") else lm.backbone
            model.save_weights(path)
    expected = rank_layers(before, after)
    assert rank_layers(*paths) == expected
    assert rank_layers(paths[0], after) == expected


def test_a_sharded_checkpoint_is_read_from_all_its_files(tmp_path):
    before, after = four_blocks(), moved(four_blocks())
    path = str(tmp_path / "before.weights.json")
    before.backbone.save_weights(path, max_shard_size=1e-5)
    assert len(list(tmp_path.glob("*.h5"))) > 3
    assert rank_layers(path, after) == rank_layers(before, after)


def test_ranking_from_disk_takes_less_than_a_tenth_of_the_model(tmp_path):
    lm = tiny_lm(num_layers=16, hidden_dim=64, intermediate_dim=1024)
    paths = [str(tmp_path / "0.weights.h5"), str(tmp_path / "1.weights.h5")]
    lm.save_weights(paths[0])
    lm.save_weights(paths[1])
    size = sum(int(np.prod(w.shape)) * 4 for w in lm.weights)
    rank_layers(*paths)  # imports and caches of HDF5
    tracemalloc.start()
    rank_layers(*paths)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 10


def test_a_snapshot_of_kernels_stands_for_the_model(tmp_path):
    before, after = four_blocks(), moved(four_blocks())
    save_kernels(before, tmp_path / "start")
    assert rank_layers(tmp_path / "start", after) == rank_layers(before, after)
    with pytest.raises(FileExistsError, match="not exist yet"):
        save_kernels(before, tmp_path / "start")
    with pytest.raises(ValueError, match="Expected `attention"):
        rank_layers(tmp_path / "start", after, over="all")


def trained(callback) -> tuple[keras.Model, keras.Model]:
    lm = tiny_lm(num_layers=2)
    lm.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = token_batch(4)
    lm.fit(
        x, x["token_ids"], batch_size=2, epochs=2, shuffle=False, verbose=0,
        callbacks=[callback],
    )  # fmt: skip
    return tiny_lm(num_layers=2), lm


def test_the_recorder_ranks_a_fit_as_its_two_ends_would(tmp_path):
    recorder = LayerUpdateRecorder(folder=tmp_path)
    with pytest.raises(ValueError, match="Expected an epoch"):
        recorder.scores  # noqa: B018
    before, after = trained(recorder)
    assert recorder.scores == rank_layers(before, after)
    assert len(recorder.history) == 2
    assert recorder.history[0] != recorder.history[1]
    assert list(tmp_path.iterdir()) == []


def test_the_recorder_needs_no_snapshot_when_the_start_is_on_disk(tmp_path):
    path = str(tmp_path / "start.weights.h5")
    tiny_lm(num_layers=2).save_weights(path)
    recorder = LayerUpdateRecorder(before=path)
    before, after = trained(recorder)
    assert recorder.scores == rank_layers(before, after)


def test_the_best_blocks_go_straight_to_grow_model():
    scores = rank_layers(four_blocks(), moved(four_blocks()))
    lm = grow_model(four_blocks(), layers=scores.top(2))
    grown = [
        i
        for i, block in enumerate(lm.backbone.transformer_layers)
        if len(block.gating_ffw.weights) > 1
    ]
    assert grown == [1, 3]


def test_misuse_is_named(tmp_path):
    lm = four_blocks()
    with pytest.raises(ValueError, match="same number of blocks"):
        rank_layers(lm, tiny_lm(num_layers=3))
    with pytest.raises(ValueError, match="kernels of one shape"):
        rank_layers(lm, four_blocks(intermediate_dim=32))
    with pytest.raises(ValueError, match=r"`over` to be one of.*over='mpl'"):
        rank_layers(lm, lm, over="mpl")
    with pytest.raises(ValueError, match=r"name of a dense layer.*'gate'"):
        rank_layers(lm, lm, over=["gate"])
    with pytest.raises(ValueError, match="neither grown nor quantized"):
        rank_layers(lm, grow_model(four_blocks()))
    with pytest.raises(FileNotFoundError, match="Expected a checkpoint"):
        rank_layers(str(tmp_path / "none.weights.h5"), lm)
    with pytest.raises(ValueError, match="a KerasHub preset"):
        rank_layers(str(tmp_path), lm)
    (tmp_path / "weights.bin").write_bytes(b"0")
    with pytest.raises(ValueError, match=r"`\.weights\.h5` or `\.keras`"):
        rank_layers(str(tmp_path / "weights.bin"), lm)
    path = str(tmp_path / "other.weights.h5")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(
        path
    )
    with pytest.raises(ValueError, match="blocks of a known family"):
        rank_layers(path, lm)


def parsed(*words: str) -> argparse.Namespace:
    return parser().parse_args(["rank", *words])


def test_the_command_prints_and_saves_what_rank_layers_returns(
    tmp_path, capsys
):
    before, after = four_blocks(), moved(four_blocks())
    paths = [str(tmp_path / "0.weights.h5"), str(tmp_path / "1.weights.h5")]
    before.save_weights(paths[0])
    after.save_weights(paths[1])
    out, plot = str(tmp_path / "scores.json"), str(tmp_path / "scores.png")
    args = parsed(*paths, "--top", "2", "--save", out, "--plot", plot)
    args.run(args)
    scores = rank_layers(before, after).top(2)
    assert LayerScores.load(out) == scores
    assert capsys.readouterr().out == f"{scores}\n"
    assert (tmp_path / "scores.png").stat().st_size > 1000
    args = parsed(paths[0], "--method", "signal_to_noise", "--over", "up")
    args.run(args)
    assert "signal_to_noise" in capsys.readouterr().out


@pytest.mark.no_backend
def test_the_command_ends_with_a_message_and_1_on_misuse(capsys):
    for words in (["one"], ["one", "two"]):
        assert main(["rank", *words]) == 1
        assert "Received" in capsys.readouterr().err
