"""Every guide runs from top to bottom, on a tiny model here."""

import os
import re
import runpy
from pathlib import Path

import keras_hub
import pytest
import tiny_tokenizers
from tiny_models import GEMMA3
from tiny_models import randomize

GUIDES = Path(__file__).parents[1] / "examples/guides"
SCRIPTS = sorted(GUIDES.glob("[0-9]_*.py"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A preset with a tokenizer and the head sizes that GGUF readers expect."""
    tokenizer = tiny_tokenizers.gemma()
    sizes = dict(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=1,
        hidden_dim=32,
        intermediate_dim=32,
        head_dim=256,
        num_query_heads=2,
        num_key_value_heads=1,
    )
    backbone = keras_hub.models.Gemma3Backbone(**{**GEMMA3, **sizes})
    preprocessor = keras_hub.models.Gemma3CausalLMPreprocessor(
        tokenizer, sequence_length=64
    )
    lm = randomize(keras_hub.models.Gemma3CausalLM(preprocessor, backbone))
    folder = tmp_path_factory.mktemp("model") / "tiny"
    lm.save_to_preset(str(folder))
    return str(folder)


# What guides call is tested on every backend elsewhere.
@pytest.mark.once
@pytest.mark.usefixtures("runs_in_this_process")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_guide_runs(script, model, tmp_path, monkeypatch, capsys):
    # A guide may set it, for a process of its own.
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    monkeypatch.setenv("GUIDE_MODEL", model)
    monkeypatch.setenv("GUIDE_ROWS", "8")
    monkeypatch.setenv("GUIDE_FOLDER", str(tmp_path))
    runpy.run_path(str(script))
    out = capsys.readouterr().out
    claims = {
        "1_grow_and_dial": "bit for bit",
        "2_own_data_and_chats": "broken.jsonl",
        "3_many_skills": "True",
        "4_compare_fairly": "| grown |",
        "5_which_blocks": "evenly spaced: [0]",
        "6_export_and_serve": "largest difference of a logit: ",
        "7_several_devices": "on one device: ['french']",
        "8_another_family": "largest difference after growing: 0.0",
    }
    assert claims[script.stem] in out


@pytest.mark.no_backend
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_guide_is_a_notebook_and_is_listed(script):
    text = script.read_text("utf-8")
    cells = re.findall(r"^# %%( \[markdown\])?$", text, re.MULTILINE)
    assert " [markdown]" in cells
    assert "" in cells
    assert f"]({script.name})" in (GUIDES / "README.md").read_text("utf-8")
