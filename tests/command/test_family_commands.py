"""The `keras-grow` commands on models of every family.

Each model is a preset with its own tokenizer. What a command prints and writes
is compared with the logits of the model that was saved. A few families with
unusual blocks are tested; `--every-family` adds the rest.
"""

import json
import re
import shutil
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
from family_models import few_programs
from family_models import parametrize_families
from family_presets import whole_family
from keras import ops

import keras_grow
from keras_grow.command import main
from keras_grow.comparison import Plan
from keras_grow.comparison import load_run
from keras_grow.comparison import read_results
from keras_grow.comparison.share_rows import read_shares
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import generate
from keras_grow.export import check
from keras_grow.growth.families import family_of
from keras_grow.saving.reading import read_growth_file

KINDS = ("Gemma 4", "GPT-2")
IMAGES = "PaliGemma"
TO_GGUF = {"Gemma 3", "Llama", "Llama 3", "Mistral", "Qwen 2.5", "Qwen 3"}
TO_TRANSFORMERS = TO_GGUF | {"Gemma", "Gemma 2", "Phi 3", "SmolLM 3", "GPT-2"}
LENGTH = 16
PROMPT, RESPONSE, OLD = "a quick", " fox", "the lazy dog"
pytestmark = pytest.mark.once


def pytest_generate_tests(metafunc):
    if "made" in metafunc.fixturenames:
        parametrize_families(metafunc, "made", KINDS)


@pytest.fixture(scope="module")
def made(request, tmp_path_factory):
    """A base as a preset, a growth of it, and texts."""
    name = request.param
    folder = tmp_path_factory.mktemp("made")
    with few_programs():
        lm = whole_family(name)
        lm.save_to_preset(str(folder / "base"))
        family = family_of(lm.backbone)
        layers = family.mlp_of(family.blocks_of(lm.backbone)[1])
        before = [np.array(ops.convert_to_numpy(d.kernel)) for d in layers]
        for layer, kernel in zip(layers, before, strict=True):
            layer.kernel.assign(1.5 * kernel)
        lm.save_to_preset(str(folder / "after"))
        for layer, kernel in zip(layers, before, strict=True):
            layer.kernel.assign(kernel)
        growth = folder / "skill.grow.safetensors"
        keras_grow.grow_model(lm, name="skill")
        rng = np.random.default_rng(1)
        for weight in lm.trainable_weights:
            weight.assign(weight + rng.normal(0.0, 1.0, weight.shape))
        keras_grow.save_growth(lm, growth)
        (folder / "old.txt").write_text(OLD, "utf-8")
        row = json.dumps({"prompt": PROMPT, "response": RESPONSE})
        (folder / "new.jsonl").write_text(row, "utf-8")
        yield SimpleNamespace(
            name=name,
            lm=lm,
            folder=folder,
            base=str(folder / "base"),
            growth=growth,
            old=str(folder / "old.txt"),
            new=str(folder / "new.jsonl"),
        )


def tokens(lm, text):
    return [int(token) for token in np.asarray(lm.preprocessor.tokenizer(text))]


def start_of(lm):
    """The token that stands for an empty context."""
    tokenizer = lm.preprocessor.tokenizer
    start = getattr(tokenizer, "start_token_id", None)
    return tokenizer.end_token_id if start is None else start


def logits(lm, ids):
    """`[len(ids), vocabulary]`, computed on one row of fixed length."""
    padded = np.zeros((1, LENGTH), "int32")
    padded[0, : len(ids)] = ids
    x = {
        "token_ids": padded,
        "padding_mask": np.arange(LENGTH)[None] < len(ids),
    }
    if "position_ids" in lm.input:
        x["position_ids"] = np.arange(LENGTH, dtype="int32")[None]
    if "images" in lm.input:
        x["images"] = np.ones((1, 16, 16, 3), "float32")
        x["response_mask"] = np.zeros((1, LENGTH), "int32")
    found = ops.convert_to_numpy(lm(x))[0, -LENGTH:]
    return found[: len(ids)].astype("float64")


def loss(lm, context, answer):
    """Nats per token of an answer."""
    found = logits(lm, [*context, *answer])[len(context) - 1 : -1]
    right = found[np.arange(len(answer)), answer]
    return float(np.mean(np.log(np.exp(found).sum(-1)) - right))


def figures(lm):
    """Perplexity of the old text, and loss of the new row, by NumPy."""
    begin = [start_of(lm)]
    before, whole = tokens(lm, PROMPT), tokens(lm, PROMPT + RESPONSE)
    starts = getattr(lm.preprocessor.tokenizer, "start_token_id", None)
    if starts is not None:
        before, whole = begin + before, begin + whole
    new = loss(lm, before, whole[len(before) :])
    return np.exp(loss(lm, begin, tokens(lm, OLD))), new


def at_scale(lm, scale):
    keras_grow.set_growths(lm, {"skill": scale} if scale else {})
    return lm


def refusal(capsys, words):
    """The one line of error that a command ends with."""
    assert main(list(map(str, words))) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_a_preset_is_loaded_as_it_was_saved(made):
    loaded = keras_grow.load_causal_lm(made.base)
    assert type(loaded) is type(made.lm).plain_class
    ids = tokens(made.lm, OLD)
    wanted = logits(at_scale(made.lm, 0.0), ids)
    np.testing.assert_allclose(logits(loaded, ids), wanted, atol=1e-5)
    np.testing.assert_array_equal(tokens(loaded, OLD), ids)
    loaded.save(made.folder / "base.keras")
    again = keras_grow.load_causal_lm(made.folder / "base.keras")
    np.testing.assert_allclose(logits(again, ids), wanted, atol=1e-5)


def test_rank_finds_the_block_that_moved(made, tmp_path, capsys):
    saved = tmp_path / "ranking.json"
    words = ["rank", made.base, str(made.folder / "after")]
    assert main([*words, "--save", str(saved)]) == 0
    scores = keras_grow.LayerScores.load(saved)
    assert scores.blocks == (1, 0)
    assert scores.scores == pytest.approx((0.5, 0.0), rel=1e-5)
    found = capsys.readouterr().out
    assert main([*words, "--top", "1"]) == 0
    assert found.startswith(capsys.readouterr().out.rstrip().split("0")[0])
    assert main(["rank", made.base, "--method", "signal_to_noise"]) == 0
    family = family_of(made.lm.backbone)
    if not family.attention:
        said = refusal(capsys, [*words, "--over", "all"])
        assert "Rank with" in said


def test_dial_takes_the_largest_scale_within_the_budget(made, tmp_path, capsys):
    growth = tmp_path / "skill.grow.safetensors"
    shutil.copy(made.growth, growth)
    words = ["dial", growth, "--model", made.base, "--steps", "2"]
    words += ["--old", made.old, "--new", made.new, "--budget", "5%"]
    if made.name == IMAGES:
        assert "takes ['images'" in refusal(capsys, words)
        return
    assert main(list(map(str, words))) == 0
    printed = capsys.readouterr().out
    tried = {}
    for line in re.findall(r"^ +\d\.\d{4} .*", printed, re.MULTILINE):
        scale, old, _, new, *_ = line.split()
        tried[float(scale)] = float(old)
        wanted = figures(at_scale(made.lm, float(scale)))
        assert (float(old), float(new)) == pytest.approx(wanted, rel=5e-4)
    assert tried[1.0] != pytest.approx(tried[0.0], rel=1e-3)
    within = [s for s, old in tried.items() if old <= 1.05 * tried[0.0]]
    low, high = 0.0, 1.0
    if 1.0 not in within:
        for _ in range(2):
            middle = (low + high) / 2
            low, high = (middle, high) if middle in within else (low, middle)
    chosen = 1.0 if 1.0 in within else low
    assert read_growth_file(growth).scales == {"skill": chosen}
    assert f"now loads at {chosen:g}." in printed


def test_export_to_keras_is_the_merged_model_at_a_scale(made, tmp_path):
    out = tmp_path / "plain"
    words = ["export", str(made.growth), str(out), "--to", "keras"]
    words += ["--model", made.base, "--scale", "0.5"]
    assert main(words) == 0
    for config in out.rglob("*.json"):
        assert "keras_grow" not in config.read_text("utf-8")
    plain = keras_grow.load_causal_lm(out)
    assert type(plain) is type(made.lm).plain_class
    ids = tokens(made.lm, OLD)
    wanted = logits(at_scale(made.lm, 0.5), ids)
    np.testing.assert_allclose(logits(plain, ids), wanted, atol=1e-4)
    apart = wanted - logits(at_scale(made.lm, 1.0), ids)
    assert np.abs(apart).max() > 1e-3


def test_export_to_transformers_computes_the_same_or_is_refused(
    made, tmp_path, capsys
):
    out = tmp_path / "theirs"
    words = ["export", made.growth, out, "--to", "transformers"]
    words += ["--model", made.base]
    if made.name not in TO_TRANSFORMERS:
        said = refusal(capsys, words)
        assert "Expected a backbone that can be exported" in said
        assert type(made.lm.backbone).plain_class.__name__ in said
        assert not out.exists()
        return
    assert main(list(map(str, words))) == 0
    ids = tokens(made.lm, OLD)
    theirs = check.transformers_logits(check.load_transformers(out), ids)
    wanted = logits(at_scale(made.lm, 1.0), ids)
    np.testing.assert_allclose(theirs, wanted, rtol=0, atol=1e-4)


def test_export_to_gguf_has_the_merged_weights_or_is_refused(
    made, tmp_path, capsys
):
    out = tmp_path / "model.gguf"
    words = ["export", made.growth, out, "--to", "gguf"]
    words += ["--model", made.base, "--quantization", "f32"]
    if made.name not in TO_GGUF:
        said = refusal(capsys, words)
        assert re.search("be exported: |is exported as GGUF: ", said)
        assert not out.exists()
        return
    assert main(list(map(str, words))) == 0
    merged = keras_grow.merge_growth(at_scale(made.lm, 1.0)).backbone
    found = {t.name: t.data for t in gguf.GGUFReader(out).tensors}
    for index, block in enumerate(family_of(merged).blocks_of(merged)):
        layers = family_of(merged).mlp_of(block)
        names = ("ffn_gate", "ffn_up", "ffn_down")
        for layer, name in zip(layers, names, strict=True):
            kernel = ops.convert_to_numpy(layer.kernel)
            theirs = found[f"blk.{index}.{name}.weight"]
            np.testing.assert_array_equal(theirs, kernel.T)


def test_compare_scores_what_its_runs_keep(
    made, tmp_path, capsys, runs_in_this_process
):
    folder = tmp_path / "mine"
    words = ["compare", folder, "--model", made.base]
    words += ["--task", f"{made.new},{made.new}", "--retention", made.old]
    words += ["--updates", "1", "--evaluations", "1", "--batch-size", "1"]
    words += ["--generated", "0", "--shares", "0.5", "--methods"]
    words += [
        "g_freeze:name=grown,learning_rate=1e-1,layers=1",
        "sft:name=SFT,learning_rate=1e-2",
        "lora:name=LoRA,learning_rate=1,rank=2,targets=mlp",
    ]
    if made.name == IMAGES:
        with pytest.raises(AssertionError):  # The status of its first run.
            main(list(map(str, words)))
        assert "takes ['images'" in capsys.readouterr().err
        return
    assert main(list(map(str, words))) == 0
    rows = {(r["method"], r["step"]): r["scores"] for r in read_results(folder)}
    base = figures(at_scale(made.lm, 0.0))
    shares = read_shares(folder)
    for method in Plan.load(folder).methods:
        name = method.name
        found = rows[name, 0]
        assert (found["old/old"], found["new/loss"]) == pytest.approx(
            base, rel=1e-4
        )
        kept = load_run(folder, method)
        found = rows[name, 1]
        wanted = figures(kept)
        assert (found["old/old"], found["new/loss"]) == pytest.approx(
            wanted, rel=1e-4
        )
        assert wanted[1] != pytest.approx(base[1], rel=1e-4)
        half = shares[name, 0, 0.5]["new/loss"].mean
        assert half != pytest.approx(wanted[1], rel=1e-5)
        if name == "grown":
            keras_grow.set_growths(kept, {"growth_1": 0.5})
            assert half == pytest.approx(figures(kept)[1], rel=1e-4)


def test_answers_of_the_scorer_are_the_likeliest(made):
    # Both read their last token as another: see examples/reference/families.md.
    if made.name in (IMAGES, "GPT-NeoX") or made.name.startswith("Qwen 3.5"):
        return
    lm = at_scale(made.lm, 1.0)
    scorer = Scorer(lm, batch_size=1, max_length=LENGTH)
    (text,) = generate(scorer, [PROMPT], 3, stop=())
    read = tokens(lm, PROMPT)
    if getattr(lm.preprocessor.tokenizer, "start_token_id", None) is not None:
        read = [start_of(lm), *read]
    made_up = []
    for _ in range(3):
        made_up.append(int(logits(lm, read + made_up)[-1].argmax()))
    assert text == lm.preprocessor.tokenizer.detokenize(made_up)
