"""A trained growth as GGUF and transformers folder: do they say the same?

    pip install xllamacpp          # in a separate virtual environment
    python examples/benchmarks/export_llama_cpp.py --data train.jsonl \
        --text page.txt --llama-python LLAMA_ENV/bin/python

Trains a growth of the last half of Gemma 3 270M for a few updates, exports it,
and compares up to 32 greedy tokens for each prompt and the perplexity of a
page of text: KerasHub, transformers, and llama.cpp itself, which is run in
another Python (xllamacpp ships it built). A line of `--data` is
`{"en": ..., "fr": ...}`.
"""

import argparse
import json
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from machine import MARK
from machine import describe

PROMPTS = [
    "The capital of France is",
    "English: A man walks his dog in the park.\nFrench:",
    "Once upon a time there was",
    "def add(a, b):\n    return",
]
NEW = 32
EOS = 1
OUTPUT = Path(__file__).parents[1] / "results/export"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--text", type=Path, help="the page; 256 tokens of it")
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--llama-python", help="Python of the other side")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--llama", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.llama:
        print(MARK + json.dumps(llama_cpp(*arguments.llama)))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = compare(arguments, Path(folder))
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1) + "\n"
    (arguments.output / "llama_cpp.json").write_text(text)
    (arguments.output / "llama_cpp.md").write_text(report(result))
    print(report(result))


def compare(arguments, folder):
    from keras_grow import export_gguf
    from keras_grow import export_transformers

    lm = trained(arguments.data, arguments.updates)
    tokenizer = lm.preprocessor.tokenizer
    bos = tokenizer.start_token_id
    page = arguments.text.read_text(encoding="utf-8")
    page = [bos, *map(int, tokenizer(page))][:256]
    prompts = [[bos, *map(int, tokenizer(prompt))] for prompt in PROMPTS]
    sides = {"KerasHub, float32": keras_side(lm, prompts, page)}
    start = time.perf_counter()
    exported = export_transformers(lm, folder / "hf", verify=True)
    seconds = time.perf_counter() - start
    sides["transformers, float32"] = transformers_side(
        folder / "hf", prompts, page
    )
    question = {"prompts": PROMPTS, "ids": prompts, "page": page, "new": NEW}
    (folder / "question.json").write_text(json.dumps(question))
    files = {}
    for kind in ("f32", "q8_0"):
        path = folder / f"{kind}.gguf"
        export_gguf(lm, path, kind)
        files[kind] = path.stat().st_size
        if arguments.llama_python:
            sides[f"llama.cpp, {kind}"] = other_python(
                arguments.llama_python, path, folder / "question.json"
            )
        path.unlink()
    return {
        "machine": describe(),
        "updates": arguments.updates,
        "prompts": PROMPTS,
        "page_tokens": len(page),
        "weight_bytes": exported.weight_bytes,
        "padding_bytes": exported.padding_bytes,
        "largest_logit_difference": exported.largest_difference,
        "export_and_verify_seconds": round(seconds, 1),
        "gguf_bytes": files,
        "sides": sides,
    }


def trained(data, updates):
    """Gemma 3 270M with the last half of its blocks grown, and trained."""
    import keras

    import keras_grow
    from keras_grow.loading.gemma3_270m import load_gemma3_270m

    keras.utils.set_random_seed(0)
    lm = load_gemma3_270m()
    keras_grow.grow_model(lm, layers=9)
    lm.preprocessor.sequence_length = 64
    rows = [json.loads(line) for line in data.open(encoding="utf-8")]
    rows = rows[: 4 * updates]
    prompts = [f"English: {row['en']}\nFrench:" for row in rows]
    answers = [f" {row['fr']}" for row in rows]
    lm.compile(
        optimizer=keras.optimizers.Adam(3e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        sampler="greedy",
    )
    examples = {"prompts": np.array(prompts), "responses": np.array(answers)}
    lm.fit(examples, batch_size=4, epochs=1, shuffle=False, verbose=2)
    return lm


def keras_side(lm, prompts, page):
    from keras_grow.export.check import logits

    length = max(map(len, prompts)) + NEW
    ids = np.zeros((len(prompts), length), "int32")
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = prompt
    mask = np.arange(length) < np.array([[len(prompt)] for prompt in prompts])
    generate = lm.make_generate_function()
    made = generate(
        {"token_ids": ids, "padding_mask": mask}, stop_token_ids=None
    )
    rows = np.asarray(made["token_ids"])
    return {
        "tokens": [
            cut(row[len(prompt) : len(prompt) + NEW].tolist())
            for row, prompt in zip(rows, prompts, strict=True)
        ],
        "perplexity": perplexity(logits(lm, [page])[0], page),
    }


def transformers_side(folder, prompts, page):
    import torch
    from transformers import AutoTokenizer

    from keras_grow.export.check import load_transformers
    from keras_grow.export.check import transformers_logits

    model = load_transformers(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert [tokenizer(text).input_ids for text in PROMPTS] == prompts
    rows = []
    for prompt in prompts:
        made = model.generate(
            torch.tensor([prompt]),
            max_new_tokens=NEW,
            do_sample=False,
        )
        rows.append(cut(made[0, len(prompt) :].tolist()))
    return {
        "tokens": rows,
        "perplexity": perplexity(transformers_logits(model, page), page),
    }


def other_python(python, model, question):
    done = subprocess.run(
        [python, __file__, "--llama", model, question],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    (line,) = [x for x in done.stdout.splitlines() if x.startswith(MARK)]
    return json.loads(line.removeprefix(MARK))


def llama_cpp(model, question):
    """Greedy tokens and perplexity of llama.cpp, its cache in float32."""
    import xllamacpp

    question = json.loads(Path(question).read_text())
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.n_ctx = 1024
    settings.n_parallel = 1
    settings.warmup = False
    # A prompt that grows by a token is then computed by a token.
    settings.swa_full = True
    settings.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    off = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.flash_attn_type = off
    server = xllamacpp.Server(settings)

    def complete(ids, new, **more):
        request = {"prompt": ids, "max_tokens": new, "temperature": 0}
        done = server.handle_completions({**request, "logprobs": 1, **more})
        return done["choices"][0]["logprobs"]["content"]

    tokenized = []
    for prompt in question["prompts"]:
        body = json.dumps({"content": prompt, "add_special": True}).encode()
        url = f"{server.listening_address}/tokenize"
        with urllib.request.urlopen(url, body) as answer:
            tokenized.append(json.load(answer)["tokens"])
    page = question["page"]
    # The token that comes next is forced, and asked for what it had before.
    losses = [
        -complete(page[:at], 1, logit_bias=[[page[at], 1000.0]])[0]["logprob"]
        for at in range(1, len(page))
    ]
    return {
        "version": f"xllamacpp {xllamacpp.__version__}",
        "tokenizes_alike": tokenized == question["ids"],
        "tokens": [
            cut([token["id"] for token in complete(ids, question["new"])])
            for ids in question["ids"]
        ],
        "perplexity": float(np.exp(np.mean(losses))),
    }


def cut(tokens):
    """The tokens before the first that ends a text."""
    return tokens[: tokens.index(EOS)] if EOS in tokens else tokens


def perplexity(logits, page):
    """Of each token after the first, given those before it."""
    logits = np.asarray(logits[:-1], "float64")
    logits -= logits.max(-1, keepdims=True)
    chosen = logits[np.arange(len(logits)), page[1:]]
    return float(np.exp((np.log(np.exp(logits).sum(-1)) - chosen).mean()))


def agreed(mine, theirs):
    """How many tokens are equal before the first that is not."""
    count = 0
    for one, other in zip(mine, theirs, strict=False):
        if one != other:
            break
        count += 1
    return count


def report(result):
    ours = result["sides"]["KerasHub, float32"]
    lines = [
        "# A trained growth in transformers and llama.cpp",
        "",
        f"Gemma 3 270M, the last 9 of 18 blocks grown, {result['updates']} "
        "updates of 4 English-French pairs. Made by "
        "`examples/benchmarks/export_llama_cpp.py`, whose first lines say "
        "how.",
        "",
        f"{len(result['prompts'])} prompts, up to {NEW} greedy tokens each; "
        f"perplexity of {result['page_tokens']} tokens of WikiText-2. "
        "After the first token that differs none is counted.",
        "",
        "| side | greedy tokens equal to KerasHub's | perplexity | to ours |",
        "|---|---|---|---|",
    ]
    total = sum(map(len, ours["tokens"]))
    for name, side in result["sides"].items():
        pairs = zip(side["tokens"], ours["tokens"], strict=True)
        equal = sum(agreed(mine, theirs) for mine, theirs in pairs)
        ratio = side["perplexity"] / ours["perplexity"] - 1
        lines.append(
            f"| {name} | {equal} of {total} | "
            f"{side['perplexity']:.4f} | {ratio:+.4%} |"
        )
    llama = next((s for s in result["sides"].values() if "version" in s), None)
    if llama:
        alike = "the same" if llama["tokenizes_alike"] else "OTHER"
        lines += [
            "",
            f"llama.cpp of {llama['version']}, its cache in float32; it "
            f"tokenizes the prompts into {alike} ids.",
        ]
    files = ", ".join(
        f"{kind} {size / 1e6:,.0f} MB"
        for kind, size in result["gguf_bytes"].items()
    )
    lines += [
        "",
        f"Files: transformers {result['weight_bytes'] / 1e6:,.0f} MB in "
        f"float32, {result['padding_bytes'] / 1e6:,.0f} MB of it padding; "
        f"GGUF {files}. Largest difference of a logit between KerasHub and "
        f"transformers: {result['largest_logit_difference']:.1e}.",
        "",
        "To run it with Ollama, write `FROM ./french.gguf` into a file "
        "`Modelfile`; then",
        "",
        "```",
        "ollama create french -f Modelfile && ollama run french",
        "```",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
