"""How `router.py` and `skills.py` train a skill, whatever it is that learns."""

import keras
import router_sets as sets

import keras_grow
from keras_grow.tasks import encode

BATCH_SIZE = 8
# Tokens of a row; longer examples are left out.
LENGTHS = {"french": 48, "science": 80}


def rows(name, options, tokenizer):
    """Arrays of a skill: token ids, padding mask, labels, sample weight."""
    count = BATCH_SIZE * options.updates
    data = encode(
        sets.skill(name, options.data, "train")[: 2 * count],
        tokenizer,
        LENGTHS[name],
        too_long="leave_out",
    )
    arrays = (
        data.x["token_ids"],
        data.x["padding_mask"],
        data.y,
        data.sample_weight,
    )
    return [array[:count] for array in arrays]


def fit(lm, rows, rate):
    """One pass over `rows`, warm-up and cosine, loss on the answers alone."""
    token_ids, padding_mask, labels, sample_weight = rows
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=len(labels) // BATCH_SIZE,
        alpha=1.0,
        warmup_target=rate,
        warmup_steps=5,
    )
    lm.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    keras_grow.supervised_logits(lm)
    # The rows are token ids already: past the task's preprocessor.
    keras.Model.fit(
        lm,
        {"token_ids": token_ids, "padding_mask": padding_mask},
        labels,
        sample_weight=sample_weight,
        batch_size=BATCH_SIZE,
        shuffle=False,
        verbose=2,
    )
