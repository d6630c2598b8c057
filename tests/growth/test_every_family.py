"""What holds for one family of models holds for every registered family."""

from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
from family_models import CONFIGS
from family_models import LENGTH
from family_models import VOCABULARY_SIZE
from family_models import batch_for
from family_models import few_programs
from family_models import tiny_backbone
from family_models import tiny_family
from keras import ops
from keras_hub import models

import keras_grow
from keras_grow.growth.families import EXPERTS_ONLY
from keras_grow.growth.families import FAMILIES
from keras_grow.growth.families import family_of
from keras_grow.saving import fingerprint
from keras_grow.saving.fingerprint import base_fingerprint

UP = ("batch", "model")
# It multiplies merged kernels: one product instead of two.
MERGES = "Gemma 4"


def outputs(model, batch):
    return ops.convert_to_numpy(model(batch))


def values(variables):
    return [np.array(ops.convert_to_numpy(v)) for v in variables]


def plain_class(lm):
    """The class that a grown model had before."""
    return type(lm).plain_class


@pytest.fixture(scope="module", autouse=True)
def _few_programs():
    with few_programs():
        yield


@pytest.fixture(scope="module", params=CONFIGS)
def trained(request):
    """A model, grown and trained for a step, with its earlier outputs."""
    name = request.param
    x = batch_for(name)
    lm = tiny_family(name)
    base = outputs(lm, x)
    paths = [w.path for w in lm.weights]
    keras_grow.grow_model(lm)
    grown = outputs(lm, x)
    before = values(lm.weights)
    lm.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
        sampler="greedy",
    )
    # The logits of PaliGemma are those of the text, its states are not.
    if name != "PaliGemma":
        keras_grow.supervised_logits(lm)
    y = np.roll(x["token_ids"], -1, axis=1)
    lm.fit(x, y, sample_weight=x["padding_mask"] * 1.0, verbose=0)
    return SimpleNamespace(
        name=name,
        lm=lm,
        x=x,
        base=base,
        paths=paths,
        grown=grown,
        before=before,
        after=outputs(lm, x),
    )


@pytest.fixture(scope="module")
def untouched(trained):
    """The base of `trained`; tests must not change it."""
    return tiny_family(trained.name)


@pytest.mark.exact
@pytest.mark.parametrize("name", CONFIGS)
def test_growing_preserves_the_compiled_function(name):
    lm = keras_grow.grow_model(tiny_family(name))
    preserved = keras_grow.verify_preserved(lm, batch_for(name))
    # Gemma 3n is fused in another way; and on TensorFlow so is whatever has
    # no norm after its MLP.
    fused = name == "Gemma 3n" or keras.backend.backend() == "tensorflow"
    fused = fused or name.startswith(MERGES)
    assert preserved.max_abs_diff <= (1e-5 if fused else 0.0)
    assert preserved.same_argmax == 1.0


def test_growing_preserves_the_function(trained):
    merges = trained.name.startswith(MERGES)
    apart = np.abs(trained.grown - trained.base).max()
    assert apart <= (1e-5 if merges else 0.0)


def test_a_step_moves_the_growth_alone_and_off_is_the_base(trained):
    lm = trained.lm
    moved = {
        weight.path
        for old, weight in zip(trained.before, lm.weights, strict=True)
        if not np.array_equal(old, ops.convert_to_numpy(weight))
    }
    assert moved == {w.path for w in lm.trainable_weights}
    family = family_of(lm.backbone)
    assert len([p for p in moved if p.endswith("kernel")]) == 2 * len(
        family.slots
    )
    assert np.abs(trained.after - trained.base).max() > 1e-5
    assert np.isfinite(trained.after).all()
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(outputs(lm, trained.x), trained.base)


def test_a_growth_file_carries_the_growth_to_another_base(trained, tmp_path):
    path = tmp_path / "skill.grow.safetensors"
    keras_grow.save_growth(trained.lm, path)
    other = tiny_family(trained.name)
    keras_grow.load_growth(other, path)
    np.testing.assert_array_equal(outputs(other, trained.x), trained.after)


def test_a_growth_fits_an_equal_base_whose_layers_have_other_names():
    first, second = tiny_family("Qwen-MoE"), tiny_family("Qwen-MoE")
    paths = [[w.path for w in lm.backbone.weights] for lm in (first, second)]
    assert paths[0] != paths[1]
    assert base_fingerprint(first) == base_fingerprint(second)
    with mock.patch.object(fingerprint, "_names_of_one_alone", return_value={}):
        # As Keras named those of the first, growth files have it.
        keras.backend.clear_session()
        lone = base_fingerprint(tiny_family("Qwen-MoE"))
    assert base_fingerprint(second) == lone


def test_the_report_counts_what_the_weights_count(trained, untouched):
    lm = trained.lm
    report = keras_grow.growth_report(lm)

    def count(weights):
        return sum(int(np.prod(w.shape)) for w in weights)

    base = count(untouched.backbone.weights)
    assert report.base_parameters == base
    trainable = count(lm.trainable_weights)
    assert report.trainable_parameters == trainable
    assert report.frozen_parameters == base
    assert report.widths.keys() == {0, 1}
    for old, new in report.widths.values():
        assert new == 2 * old
    assert 1.0 < report.forward_ratio < 2.0
    assert str(report)


def test_the_dial_goes_from_the_base_to_the_growth(trained):
    lm, x = trained.lm, trained.x
    keras_grow.set_growths(lm, {"growth_1": 0.5})
    half = outputs(lm, x)
    assert np.abs(half - trained.base).max() > 1e-5
    assert np.abs(half - trained.after).max() > 1e-5
    keras_grow.set_growths(lm, {})
    np.testing.assert_array_equal(outputs(lm, x), trained.base)
    keras_grow.set_growths(lm, "growth_1")
    np.testing.assert_array_equal(outputs(lm, x), trained.after)


def test_a_keras_file_keeps_the_grown_model(trained, tmp_path):
    trained.lm.save(tmp_path / "lm.keras")
    loaded = keras.saving.load_model(tmp_path / "lm.keras", compile=False)
    saved = trained.lm
    if trained.name == "Gemma 3n":
        # Its task in KerasHub goes on with the embeddings it was built with,
        # not those that were loaded, grown or not.
        saved, loaded = saved.backbone, loaded.backbone
    wanted = outputs(saved, trained.x)
    np.testing.assert_array_equal(outputs(loaded, trained.x), wanted)
    assert keras_grow.growths(loaded).keys() == {"growth_1"}


def test_a_preset_keeps_the_grown_model(trained, tmp_path):
    trained.lm.backbone.save_to_preset(str(tmp_path / "grown"))
    # For Gemma 4 `CausalLM` finds the class of its assistants.
    gemma4 = trained.name.startswith("Gemma 4")
    task = models.Gemma4CausalLM if gemma4 else models.CausalLM
    loaded = task.from_preset(str(tmp_path / "grown"), preprocessor=None)
    assert isinstance(loaded, plain_class(trained.lm))
    np.testing.assert_array_equal(outputs(loaded, trained.x), trained.after)


def test_the_merged_model_is_plain_and_computes_the_same(trained):
    merged = keras_grow.merge_growth(trained.lm)
    assert type(merged) is plain_class(trained.lm)
    np.testing.assert_allclose(
        outputs(merged, trained.x), trained.after, rtol=1e-4, atol=1e-4
    )


def generated(lm, x, start=4):
    """What `lm` generates from the first `start` tokens."""
    tokens = np.where(np.arange(LENGTH) < start, x["token_ids"], 0)
    mask = np.broadcast_to(np.arange(LENGTH) < start, tokens.shape)
    # `generate` of Gemma 3 stumbles over what is None in token ids.
    generate = lm.make_generate_function()
    prompt = {**x, "token_ids": tokens, "padding_mask": mask}
    prompt.pop("position_ids", None)
    return ops.convert_to_numpy(generate(prompt, None)["token_ids"])


def test_generation_chooses_the_likeliest_token_at_every_step(
    trained, untouched
):
    lm, start = trained.lm, 4
    if trained.name.startswith(("Qwen 3.5", "PaliGemma")):
        # KerasHub feeds the last token of a prompt, and what pads it, to the
        # state of linear attention twice: no base generates the likeliest. The
        # prompt of PaliGemma attends to itself both ways.
        untouched.compile(sampler="greedy")
        with keras_grow.growth_disabled(lm):
            made = generated(lm, trained.x)
        np.testing.assert_array_equal(made, generated(untouched, trained.x))
        assert (generated(lm, trained.x)[:, start:] != 0).any()
        return
    made = generated(lm, trained.x)
    tokens = np.where(np.arange(LENGTH) < start, trained.x["token_ids"], 0)
    mask = np.broadcast_to(np.arange(LENGTH) < start, tokens.shape).copy()
    for position in range(start, LENGTH):
        x = {**trained.x, "token_ids": tokens, "padding_mask": mask}
        tokens[:, position] = outputs(lm, x)[:, position - 1].argmax(-1)
        mask[:, position] = True
    np.testing.assert_array_equal(made, tokens)


def test_the_block_that_changed_is_ranked_first(trained, untouched, tmp_path):
    after = tiny_family(trained.name)
    family = family_of(after.backbone)
    moved = family.blocks_of(after.backbone)[1]
    layers = family.mlp_of(moved)[:1]
    layers += list(family.attention_of(moved).values())[-1:]
    after.save(tmp_path / "before.keras")
    for layer, over in zip(layers, ("mlp", "all"), strict=False):
        layer.kernel.assign(layer.kernel * 1.5)
        for old in (untouched, tmp_path / "before.keras"):
            scores = keras_grow.rank_layers(old, after, over=over)
            assert scores.blocks[0] == 1
            assert scores.scores[1] == 0.0
        layer.kernel.assign(layer.kernel / 1.5)
    if not family.attention:
        with pytest.raises(ValueError, match="whose row names none"):
            keras_grow.rank_layers(untouched, after, over="all")


def test_every_kernel_of_a_family_has_a_device_layout(trained):
    backbone = trained.lm.backbone
    devices = [f"cpu:{i}" for i in range(4)]
    mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"), devices)
    layouts = keras_grow.layout_map(backbone, mesh)
    family = family_of(backbone)
    for block in family.blocks_of(backbone):
        for slot, layer in family.attention_of(block).items():
            axes = layouts[layer.kernel.path].axes
            assert "batch" in axes, slot
            assert "model" in axes or 1 in layer.kernel.shape, slot
        for layer, slot in zip(family.mlp_of(block), family.slots, strict=True):
            wanted = ("model", "batch") if slot == family.down else UP
            for part in (layer.base, *layer.slices):
                assert layouts[part.kernel.path].axes == wanted
    table, *head = family.embedding_of(backbone).weights
    assert layouts[table.path].axes == ("model", "batch")
    for weight in head:
        assert layouts[weight.path].axes == UP


def test_removing_the_growth_restores_the_base(trained):
    # The last test of a model: it is the base from here on.
    lm = trained.lm
    keras_grow.remove_growth(lm)
    assert [w.path for w in lm.weights] == trained.paths
    np.testing.assert_array_equal(outputs(lm, trained.x), trained.base)


def test_every_built_in_row_is_tested_here():
    tested = {
        getattr(models, f"{stem}Backbone") for stem, _ in CONFIGS.values()
    }
    assert tested == {cls for cls in FAMILIES if "keras_hub" in cls.__module__}


def test_backbones_whose_mlps_are_all_experts_are_refused():
    small = dict(
        vocabulary_size=VOCABULARY_SIZE,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=8,
        intermediate_dim=8,
        num_experts=2,
        top_k=2,
    )
    for cls in EXPERTS_ONLY:
        extra = {"moe_intermediate_dim": 8} if "Qwen" in cls.__name__ else {}
        backbone = cls(**small, **extra)
        with pytest.raises(ValueError, match="all experts"):
            keras_grow.grow_model(backbone)


def test_a_block_without_a_shared_expert_is_named():
    backbone = tiny_backbone("Qwen-MoE", decoder_sparse_step=2)
    with pytest.raises(ValueError, match=r"shared_expert_dense.*in block 0"):
        keras_grow.grow_model(backbone)


def test_sparse_blocks_are_refused_and_dense_ones_beside_them_grow():
    backbone = tiny_backbone("Gemma 3n", activation_sparsity_pattern=[0.9, 0.0])
    with pytest.raises(ValueError, match="block 0, which keeps only"):
        keras_grow.grow_model(backbone)
    x = batch_for("Gemma 3n")
    before = outputs(backbone, x)
    keras_grow.grow_model(backbone, layers=[1])
    np.testing.assert_array_equal(outputs(backbone, x), before)


def test_a_row_that_does_not_fit_is_refused_naming_what_is_missing():
    class Other(models.LlamaBackbone):
        pass

    llama = FAMILIES[models.LlamaBackbone]
    fields = dict(up=llama.up, down=llama.down)
    with pytest.raises(TypeError, match="subclass of"):
        keras_grow.register_family(keras_grow.Family(keras.Model))
    with pytest.raises(ValueError, match="width='ffn_dim'"):
        keras_grow.register_family(
            keras_grow.Family(Other, **fields, width="ffn_dim")
        )
    backbone = Other(**CONFIGS["Llama"][1])
    for field, missing in {
        "blocks": "layers_of_mine",
        "down": "mlp.down",
        "heads": "num_heads",
        "embedding": "table",
        "attention": ("attention.query",),
    }.items():
        row = keras_grow.Family(Other, **{**fields, field: missing})
        first = missing if isinstance(missing, str) else missing[0]
        with pytest.raises(ValueError, match=f"Expected `{first}` in"):
            keras_grow.register_family(row, backbone)
    with pytest.raises(TypeError, match="`backbone` to be a Other"):
        keras_grow.register_family(
            keras_grow.Family(Other, **fields), tiny_backbone("Llama")
        )
    assert Other not in FAMILIES
