"""The model card that goes beside an exported model."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_grow.export.families import ExportFamily
from keras_grow.growth.scale import growths

_FIELDS = ("base", "license", "data", "scores")


def model_card(
    model: keras.Model,
    family: ExportFamily,
    dtype: str,
    card: Mapping[str, Any] | None = None,
    load: str | None = None,
) -> str:
    """Return a model card in Markdown, with the front matter that hubs read.

    `card` may have `base`, `license`, `data` and `scores`. `load` says how to
    load it, in Markdown; the default is for `transformers`.
    """
    card = dict(card or {})
    unknown = sorted(card.keys() - set(_FIELDS))
    if unknown:
        raise ValueError(
            f"Expected `card` to say {', '.join(_FIELDS)}. Received: {unknown}"
        )
    base = card.get("base", "not stated")
    lines = ["---", "library_name: transformers"]
    if family.terms:
        lines.append(f"license: {family.terms[0]}")
    if "base" in card:
        lines.append(f"base_model: {base}")
    lines += ["tags:", "- keras-grow", "---", "", "# Model card", ""]
    lines += [
        f"- Base: {base}",
        f"- License of the base: {_license(family, card)}",
    ]
    lines += [f"- Weights: {family.architecture}, {dtype}"]
    lines += [f"- {line}" for line in _growth_lines(model)]
    lines += [f"- Trained on: {card.get('data', 'not stated')}", ""]
    scores = card.get("scores")
    if scores:
        lines += ["## Scores", "", "| score | value |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in scores.items()]
        lines.append("")
    lines += ["## How to load it", "", load or _load(family), ""]
    if family.terms:
        lines += [
            "## Terms",
            "",
            f"These weights are derived from a {family.terms[0].title()} "
            f"model: its terms of use ({family.terms[1]}) apply to them, and "
            "to everyone you pass them on to.",
            "",
        ]
    return "\n".join(lines)


def _license(family: ExportFamily, card: Mapping[str, Any]) -> str:
    if "license" in card:
        return str(card["license"])
    if family.terms:
        return f"{family.terms[0].title()} terms of use, {family.terms[1]}"
    return "not stated; that of the base applies to these weights"


def _growth_lines(model: keras.Model) -> list[str]:
    found = growths(model)
    if not found:
        return ["Growth: none; the MLPs have the base's width"]
    return [
        f"Growth {name}: factor {growth.config.factor}, "
        f"{growth.config.strategy}, blocks {_blocks(growth.config.layers)}, "
        f"at scale {growth.scale:g}, merged into wider MLPs"
        for name, growth in found.items()
    ]


def _blocks(layers: Any) -> str:
    if layers is None:
        return "all"
    if isinstance(layers, int):
        return f"the last {layers}"
    return ", ".join(map(str, layers))


def _load(family: ExportFamily) -> str:
    eager = ', attn_implementation="eager"' if family.eager else ""
    note = (
        "\n\nOther attention implementations leave out this family's caps on "
        "attention logits."
        if family.eager
        else ""
    )
    return (
        "```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("FOLDER"{eager})\n'
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")\n'
        f"```{note}"
    )
