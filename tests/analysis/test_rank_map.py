"""What changed between steps of `fit`, kept on disk and measured."""

import csv

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

from keras_grow.analysis import KernelSnapshots
from keras_grow.analysis import RankMap
from keras_grow.analysis import effective_rank_map
from keras_grow.selection import save_kernels


def fit(lm, callback):
    """Train for four steps."""
    x = token_batch(8)
    lm.fit(
        x,
        x["token_ids"],
        batch_size=2,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )


def compiled(**options) -> keras.Model:
    lm = tiny_lm(num_layers=2)
    lm.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )
    return lm


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_snapshots_hold_the_kernels_of_their_step_and_a_resumed_run_goes_on(
    tmp_path,
):
    lm = compiled()
    start = ops.convert_to_numpy(
        lm.backbone.transformer_layers[1].gating_ffw.kernel
    ).copy()
    fit(lm, KernelSnapshots(tmp_path, every=2))
    steps = [f"step_{step:08d}" for step in (0, 2, 4)]
    assert names(tmp_path) == steps
    assert names(tmp_path / steps[0]) == [
        f"block_{block:03d}.{slot}.npy"
        for block in range(2)
        for slot in ("gating_ffw", "gating_ffw_2")
    ]
    kept = [np.load(tmp_path / s / "block_001.gating_ffw.npy") for s in steps]
    end = lm.backbone.transformer_layers[1].gating_ffw.kernel
    np.testing.assert_array_equal(kept[0], start)
    np.testing.assert_array_equal(kept[2], ops.convert_to_numpy(end))
    assert not np.array_equal(kept[0], kept[1])

    written = (tmp_path / steps[2]).stat().st_mtime_ns
    fit(lm, KernelSnapshots(tmp_path, steps=[4, 7]))
    assert names(tmp_path) == [*steps, "step_00000007"]
    assert (tmp_path / steps[2]).stat().st_mtime_ns == written


@pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="Keras has no steps_per_execution with PyTorch",
)
def test_a_step_within_one_execution_is_kept_at_its_end(tmp_path):
    fit(compiled(steps_per_execution=4), KernelSnapshots(tmp_path, steps=[3]))
    assert names(tmp_path) == ["step_00000004"]


def test_steps_whose_gradients_overflow_are_not_counted(tmp_path):
    lm = tiny_lm(num_layers=2, dtype="mixed_float16")
    lm.compile(
        optimizer=keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(1e-2), initial_scale=2.0**18
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    fit(lm, KernelSnapshots(tmp_path, every=1))
    count = int(lm.optimizer.inner_optimizer.iterations)
    assert 0 < count < 4
    assert names(tmp_path) == [f"step_{n:08d}" for n in range(count + 1)]


def changed(lm, block: int, rank: int, slot: str = "gating_ffw"):
    """Add a matrix of equal singular values 0.5 to one kernel."""
    kernel = getattr(lm.backbone.transformer_layers[block], slot).kernel
    rng = np.random.default_rng(rank)
    left, _ = np.linalg.qr(rng.normal(size=(kernel.shape[0], rank)))
    right, _ = np.linalg.qr(rng.normal(size=(kernel.shape[1], rank)))
    kernel.assign(ops.convert_to_numpy(kernel) + 0.5 * left @ right.T)
    return lm


@pytest.fixture
def ranks(tmp_path) -> RankMap:
    """Block 0 changes by rank 3, then block 1 by rank 5."""
    lm = tiny_lm("gemma", num_layers=2)
    save_kernels(lm, tmp_path / "step_00000000", over="up")
    save_kernels(changed(lm, 0, 3), tmp_path / "step_00000010", over="up")
    save_kernels(changed(lm, 1, 5), tmp_path / "step_00000030", over="up")
    return effective_rank_map(tmp_path)


@pytest.mark.parametrize("measure", ["effective_rank", "stable_rank"])
def test_the_map_shows_which_block_changed_by_which_rank_and_when(
    ranks, measure
):
    assert ranks.steps == [10, 30]
    assert ranks.full_rank == 16
    np.testing.assert_allclose(
        ranks.grid(measure, "gating_ffw"), [[3, 0], [0, 5]], rtol=1e-3
    )
    np.testing.assert_allclose(
        ranks.grid(measure), [[1.5, 0], [0, 2.5]], rtol=1e-3
    )
    np.testing.assert_allclose(
        ranks.grid("norm", "gating_ffw"),
        [[0.5 * 3**0.5, 0], [0, 0.5 * 5**0.5]],
        rtol=1e-3,
    )


def test_the_map_is_also_made_of_models_and_checkpoints(tmp_path):
    path = str(tmp_path / "base.weights.h5")
    lm = tiny_lm("gemma", num_layers=2)
    lm.save_weights(path)
    ranks = effective_rank_map({0: path, 7: changed(lm, 1, 4)}, over="mlp")
    assert ranks.grid("threshold_rank", "gating_ffw").tolist() == [[0], [4]]
    assert ranks.grid("threshold_rank", "ffw_linear").tolist() == [[0], [0]]


@pytest.mark.no_backend
def test_the_map_is_saved_as_json_and_csv_and_plotted(ranks, tmp_path):
    ranks.save(tmp_path / "ranks.json")
    assert RankMap.load(tmp_path / "ranks.json") == ranks
    ranks.save(tmp_path / "ranks.csv")
    with open(tmp_path / "ranks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2
    assert float(rows[0]["effective_rank"]) == ranks.changes[0].effective_rank
    axes = ranks.plot(slot="gating_ffw")
    np.testing.assert_array_equal(
        axes.images[0].get_array(), ranks.grid(slot="gating_ffw")
    )
    assert [t.get_text() for t in axes.get_xticklabels()] == ["10", "30"]


def test_misuse_is_named(ranks, tmp_path):
    with pytest.raises(ValueError, match="either `steps` or `every`"):
        KernelSnapshots(tmp_path)
    with pytest.raises(ValueError, match="`every` to be an int of 1 or more"):
        KernelSnapshots(tmp_path, every=0)
    with pytest.raises(ValueError, match=r"`steps` to be an int.*steps='1'"):
        KernelSnapshots(tmp_path, steps=["1"])
    # As text, 1000 comes before 500.
    with pytest.raises(ValueError, match=r"`step` to be an int.*step='500'"):
        effective_rank_map({"500": tiny_lm(), "1000": tiny_lm()})
    with pytest.raises(ValueError, match=r"at least two steps.*steps=\[0\]"):
        effective_rank_map({0: tiny_lm()})
    with pytest.raises(ValueError, match="same number of blocks"):
        effective_rank_map({0: tiny_lm(), 1: tiny_lm(num_layers=1)})
    with pytest.raises(ValueError, match="kernels of one shape"):
        effective_rank_map({0: tiny_lm(), 1: tiny_lm(intermediate_dim=8)})
    with pytest.raises(ValueError, match=r"measure='rank', slot=None"):
        ranks.grid("rank")
    with pytest.raises(ValueError, match=r"`\.json` or `\.csv`"):
        ranks.save(tmp_path / "ranks.txt")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match=r"written by `RankMap\.save`"):
        RankMap.load(tmp_path / "other.json")
