"""The value of every field of a plan and of its methods, checked."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any
from typing import Literal
from typing import get_args

from keras_grow.comparison.method import Method
from keras_grow.comparison.method import Prune
from keras_grow.comparison.method import Targets
from keras_grow.comparison.method import TokenWeights
from keras_grow.files.checked_json import check_choice
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_flag
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_text

TooLong = Literal["raise", "cut_prompt", "leave_out", "window"]
# Higher counts are mistakes; the bounds limit the work a file can cause.
_MAX_COUNT = 1_000_000_000
MAX_ENTRIES = 10_000
_MAX_TEMPLATE = 1 << 16


def _or_none(check: Callable[[Any, str], Any], value: Any, name: str) -> Any:
    return None if value is None else check(value, name)


_count = partial(check_int, least=1, most=_MAX_COUNT)
_few = partial(check_int, least=1, most=MAX_ENTRIES)
CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "model": check_text,
    "task": check_text,
    "anchor_text": partial(_or_none, check_text),
    "updates": _count,
    "batch_size": _count,
    "sequence_length": partial(_or_none, _count),
    "too_long": partial(check_choice, choices=get_args(TooLong)),
    "group_lengths": check_flag,
    "evaluations": _few,
    "examples": _count,
    "generated": partial(check_int, least=0, most=_MAX_COUNT),
    "dtype": check_text,
    "data_dir": partial(_or_none, check_text),
    "template": partial(_or_none, partial(check_text, most=_MAX_TEMPLATE)),
    "split": partial(_or_none, partial(check_float, least=0.0)),
    "sweep_updates": partial(_or_none, _count),
    "keep_weights": check_flag,
}
_METHOD_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "name": check_text,
    "kind": check_text,
    "warmup": partial(check_int, least=0, most=_MAX_COUNT),
    "factor": _few,
    "rank": _count,
    "parameters": partial(_or_none, _count),
    "targets": partial(
        _or_none, partial(check_choice, choices=get_args(Targets))
    ),
    "token_weights": partial(
        _or_none, partial(check_choice, choices=get_args(TokenWeights))
    ),
    "most_perplexity": partial(_or_none, partial(check_float, least=1.0)),
    "prune": partial(_or_none, partial(check_choice, choices=get_args(Prune))),
    "anchor": partial(check_float, least=0.0),
    "replay": partial(check_float, least=0.0),
    "task_anchor": partial(check_float, least=0.0),
    "decay_to_start": partial(check_float, least=0.0),
}


def method_of(values: Any, where: str) -> Method:
    """The method that an entry of a plan describes."""
    fields = dataclasses.fields(Method)
    required = [f.name for f in fields if f.default is dataclasses.MISSING]
    check_fields(values, f"`{where}`", required, [f.name for f in fields])
    check_method(values, where)
    return Method.from_dict(values)


def check_method(values: dict[str, Any], where: str) -> None:
    """Refuse a method whose settings are of another type or out of range."""
    for name, check in _METHOD_CHECKS.items():
        if name in values:
            check(values[name], f"{where}.{name}")
    rates, layers = values["learning_rate"], values.get("layers")
    for rate in rates if isinstance(rates, list | tuple) else [rates]:
        check_float(rate, f"{where}.learning_rate")
    if layers is None:
        return
    for layer in layers if isinstance(layers, list | tuple) else [layers]:
        check_int(layer, f"{where}.layers", 0, _MAX_COUNT)
