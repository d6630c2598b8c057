"""`Plan`: everything that defines a comparison, as data."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_grow.comparison.method import Method

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Plan:
    """What is compared, on what, for how long.

    Attributes:
        model: name of the base model, see `keras_grow.models.load_model`.
        task: name of the new task, see `keras_grow.tasks.load_task`.
        methods: the methods.
        retention: names of tasks that the base can do, scored by their own
            metric, or as `perplexity:TASK` by the perplexity of their prompts,
            or paths of `.txt` files, scored by perplexity.
        anchor: name of a task whose prompts are the text that anchored
            methods are held to, which should not be among the retention sets,
            or `"base"` for text that the base writes itself.
        updates: optimizer steps of every method.
        batch_size: examples of a step.
        sequence_length: tokens of a row, None for that of the longest
            example.
        too_long: what becomes of longer training examples, see
            `keras_grow.tasks.encode`. How many there were is printed.
        seeds: seeds of the data order, one run of every method each.
        evaluations: how many times a run is scored, the start not counted.
        examples: how many examples of every set a score is over.
        generated: how many of them, where answers have to be generated.
        dtype: dtype of the base model.
        data_dir: folder of prepared TFDS data sets.
        sweep_updates: updates of a run that tries one of several learning
            rates of a method. None for `updates`.
        keep_weights: whether the weights of finished runs are kept.
    """

    model: str
    task: str
    methods: tuple[Method, ...]
    retention: tuple[str, ...] = ()
    anchor: str | None = None
    updates: int = 100
    batch_size: int = 8
    sequence_length: int | None = None
    too_long: str = "cut_prompt"
    seeds: tuple[int, ...] = (0,)
    evaluations: int = 5
    examples: int = 200
    generated: int = 64
    dtype: str = "float32"
    data_dir: str | None = None
    sweep_updates: int | None = None
    keep_weights: bool = True

    def __post_init__(self) -> None:
        """Refuse a plan that cannot run."""
        names = [method.name for method in self.methods]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "Expected at least one method, every one with a name of its "
                f"own. Received: methods={names}"
            )
        folders = [run_name(method, 0) for method in self.methods]
        if len(set(folders)) < len(folders):
            raise ValueError(
                "Expected names of methods that differ in more than signs, "
                f"as they name folders. Received: methods={names}"
            )
        for name in (
            "updates",
            "batch_size",
            "evaluations",
            "examples",
            "generated",
            "sweep_updates",
        ):
            value = getattr(self, name)
            if name == "sweep_updates" and value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"Expected `{name}` to be a positive int. "
                    f"Received: {name}={value!r}"
                )
        anchored = [m.name for m in self.methods if m.anchor]
        if anchored and self.anchor is None:
            raise ValueError(
                "Expected `anchor`, the text that anchored methods are held "
                f"to. Received: anchor=None with methods {anchored}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(
                "Expected one seed or more, each once. "
                f"Received: seeds={self.seeds}"
            )

    @property
    def steps(self) -> list[int]:
        """The updates after which a run is scored, the start included."""
        count = min(self.evaluations, self.updates)
        return [round(i * self.updates / count) for i in range(count + 1)]

    @property
    def runs(self) -> list[tuple[Method, int]]:
        """Every method with every seed, seeds outermost."""
        return [(m, seed) for seed in self.seeds for m in self.methods]

    def extends(self, earlier: "Plan") -> bool:
        """Whether this is `earlier`, perhaps with more methods and seeds."""
        same = dataclasses.replace(
            self, methods=earlier.methods, seeds=earlier.seeds
        )
        return (
            same == earlier
            and set(earlier.methods) <= set(self.methods)
            and earlier.seeds == self.seeds[: len(earlier.seeds)]
        )

    def to_json(self) -> str:
        """The plan as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Make a plan from what `to_json` returned."""
        values: dict[str, Any] = json.loads(text)
        methods = tuple(Method.from_dict(m) for m in values["methods"])
        values.update(
            methods=methods,
            retention=tuple(values["retention"]),
            seeds=tuple(values["seeds"]),
        )
        return cls(**values)

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read the plan of a comparison that was begun in `folder`."""
        return cls.from_json((folder / PLAN_FILE).read_text("utf-8"))


def run_name(method: Method, seed: int) -> str:
    """Folder name of the run of a method with a seed."""
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in method.name)
    return f"{safe}-seed{seed}"
