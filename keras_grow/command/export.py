"""`keras-grow export`: write a model for serving."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.command.base import base_of_growth
from keras_grow.comparison.layout import GROWTH_FILE
from keras_grow.comparison.layout import PLAN_FILE
from keras_grow.comparison.layout import WEIGHTS_FILE
from keras_grow.comparison.layout import RunFolder
from keras_grow.quiet_start import quiet_start

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

FORMATS = ("transformers", "gguf", "keras")


def add_parser(subparsers: "Subparsers") -> None:
    """Add `export` to the subparsers of `keras-grow`."""
    parser = subparsers.add_parser(
        "export",
        help="write a grown model for transformers, llama.cpp or plain Keras",
        description=(
            "Merge a growth into its base and write the model: a folder that "
            "transformers and vLLM load, a GGUF file that llama.cpp and "
            "Ollama run, or a KerasHub preset (or .keras file) that needs no "
            "keras_grow."
        ),
    )
    parser.add_argument(
        "source",
        metavar="RUN_OR_GROWTH",
        help=(
            "folder of a finished run, such as runs/demo/grown-seed0; a "
            "growth file; or the name of a model"
        ),
    )
    parser.add_argument("path", metavar="PATH", help="folder or file to write")
    parser.add_argument(
        "--to", choices=FORMATS, required=True, help="what to write"
    )
    parser.add_argument(
        "--model",
        help="base of a growth file: preset, GGUF or folder (default: that "
        f"of a {PLAN_FILE} beside the growth file, or one folder above)",
    )
    parser.add_argument(
        "--scale",
        nargs="+",
        type=_scale,
        action="extend",
        metavar="[NAME=]SCALE",
        help="scale of every growth, or of those that are named, from 0 (the "
        "base) to 1 (as trained); default: the scale that it was saved with",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="dtype of the weights (default: the model's); not for gguf",
    )
    parser.add_argument(
        "--quantization",
        choices=("f32", "f16", "bf16", "q8_0"),
        default="bf16",
        help="type of a GGUF file's matrices (default: %(default)s)",
    )
    parser.add_argument(
        "--chat-template",
        metavar="NAME_OR_FILE",
        help="chat template to write: gemma, llama3, llama3.1, chatml, "
        "qwen2.5, qwen3, smollm2, smollm3, mistral, or a Jinja file",
    )
    parser.add_argument(
        "--max-positions",
        type=int,
        metavar="N",
        help="longest text to declare (default: the family's)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="load what was written with transformers and print the largest "
        "difference of a logit; bfloat16, f16, bf16 and q8_0 round the "
        "weights, and so differ by much more than float32",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Load, merge, write, and report what was written."""
    with quiet_start():
        import keras

        from keras_grow.export.to_gguf import export_gguf
        from keras_grow.export.to_transformers import export_transformers

    if args.to == "keras" and args.verify:
        raise ValueError(
            "Expected --verify with --to transformers or gguf, which another "
            "library can load. Received: --to keras"
        )
    print(f"Keras on {keras.config.backend()}")
    model, card = _load(Path(args.source), args.source, args.model)
    if args.scale is not None:
        _dial(model, args.scale)
    template = args.chat_template
    if template and Path(template).is_file():
        template = Path(template).read_text(encoding="utf-8")
    options: dict[str, Any] = {
        "verify": args.verify,
        "max_positions": args.max_positions,
        "chat_template": template,
        "card": card,
    }
    if args.to == "keras":
        _save_keras(model, Path(args.path), args.dtype)
        print(f"wrote {args.path}")
        return
    if args.to == "gguf":
        done = export_gguf(model, args.path, args.quantization, **options)
    else:
        done = export_transformers(model, args.path, args.dtype, **options)
    print(f"wrote {done.path}  {done.weight_bytes:,} bytes of weights")
    if done.largest_difference is not None:
        print(f"largest difference of a logit  {done.largest_difference:.2e}")


def _scale(text: str) -> tuple[str | None, float]:
    """A scale, of one growth if it has a name before it: `french=0.5`."""
    name, equals, number = text.rpartition("=")
    try:
        return name if equals else None, float(number)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"Expected a scale such as 0.5 or NAME=0.5. Received: {text!r}"
        ) from error


def _dial(model: Any, given: list[tuple[str | None, float]]) -> None:
    """Set all growths of a model to one scale, or each to its own."""
    import keras_grow

    known = keras_grow.growths(model)
    if not known:
        raise ValueError(
            "Expected --scale with a growth. Received: a model that is not "
            "grown"
        )
    whole = [scale for name, scale in given if name is None]
    named = [(name, scale) for name, scale in given if name is not None]
    if len(whole) > 1 or len(dict(named)) < len(named):
        raise ValueError(
            "Expected one --scale for all growths, and one for each name. "
            f"Received: {given}"
        )
    scales = {name: growth.scale for name, growth in known.items()}
    if whole:
        scales = dict.fromkeys(known, whole[0])
    keras_grow.set_growths(model, {**scales, **dict(named)})


def _load(path: Path, name: str, base: str | None) -> tuple[Any, Any]:
    """The model of a run, a growth file or a name, and what its card says."""
    from keras_grow.loading.load import load_causal_lm
    from keras_grow.saving.reading import read_growth_file

    if path.is_dir() and (path.parent / PLAN_FILE).exists():
        return _load_run(path)
    if (path / PLAN_FILE).exists():
        kept = (GROWTH_FILE, WEIGHTS_FILE)
        found = {file.parent for n in kept for file in path.glob(f"*/{n}")}
        raise ValueError(
            "Expected the folder of one run. Received: the folder of a "
            f"comparison, {path}. Its runs that kept their weights: "
            f"{', '.join(map(str, sorted(found))) or 'none'}"
        )
    if name.endswith(".grow.safetensors"):
        # Errors in the file are reported before a model is loaded.
        read_growth_file(path)
        base, dtype = base_of_growth(path, base)
        return _grown(load_causal_lm(base, dtype), path), {"base": base}
    return load_causal_lm(name), {"base": name}


def _load_run(own: Path) -> tuple[Any, Any]:
    from keras_grow.comparison import Plan
    from keras_grow.comparison import load_run
    from keras_grow.comparison import read_results

    plan = Plan.load(own.parent)
    runs = (RunFolder(own.parent, *each) for each in plan.runs)
    run = next((each for each in runs if each.path.name == own.name), None)
    if run is None or not (run.growth or run.weights):
        raise ValueError(
            "Expected a finished run that kept its weights. Received: "
            f"{own}, without {GROWTH_FILE} or {WEIGHTS_FILE}"
        )
    method, seed = run.method, run.seed
    rows = [
        row
        for row in read_results(own.parent)
        if (row["method"], row["seed"]) == (method.name, seed)
    ]
    # File names without folders: a card may be published.
    data = ", ".join(Path(part).name for part in plan.task.split(","))
    base = Path(plan.model).name if Path(plan.model).exists() else plan.model
    card: dict[str, Any] = {"base": base, "data": f"{data}, by {method.kind}"}
    if rows:
        last = max(rows, key=lambda row: row["step"])
        card["scores"] = {
            f"{name}, after {last['step']} updates": f"{value:.4g}"
            for name, value in last["scores"].items()
            if math.isfinite(value)
        }
    return load_run(own.parent, method, seed), card


def _grown(model: Any, growth: Path) -> Any:
    import keras_grow

    return keras_grow.load_growth(model, growth)


def _save_keras(model: Any, path: Path, dtype: str | None) -> None:
    """Write the merged model as a preset folder or a `.keras` file."""
    from keras_grow.export.folder import check_empty
    from keras_grow.export.folder import write_whole
    from keras_grow.export.plain import plain_model
    from keras_grow.growth.costs import variable_bytes

    is_file = path.suffix == ".keras"
    if is_file and path.exists():
        raise ValueError(f"Expected a new file. Received: {path}, which exists")
    if not is_file:
        check_empty(path)
    plain = plain_model(model, dtype)
    size = sum(variable_bytes(variable) for variable in plain.variables)
    with write_whole(path, size) as part:
        if is_file:
            plain.save(part)
        else:
            plain.save_to_preset(str(part))
