"""Methods against each other: same model, data, order and updates.

Methods, plans and folders of results need no Keras: a name is imported when it
is first used.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from keras_grow.comparison.comparing import compare
    from keras_grow.comparison.kinds import KINDS
    from keras_grow.comparison.method import Method
    from keras_grow.comparison.metrics import metric_of
    from keras_grow.comparison.plan import Plan
    from keras_grow.comparison.report import write_report
    from keras_grow.comparison.results import read_results
    from keras_grow.comparison.run import load_run
    from keras_grow.comparison.run import run_method

__all__ = [
    "KINDS",
    "Method",
    "Plan",
    "compare",
    "load_run",
    "metric_of",
    "read_results",
    "run_method",
    "write_report",
]

_MODULE_OF = {
    "KINDS": "kinds",
    "Method": "method",
    "Plan": "plan",
    "compare": "comparing",
    "load_run": "run",
    "metric_of": "metrics",
    "read_results": "results",
    "run_method": "run",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
