"""Logits where the loss is: `fit` without the logits that no loss uses."""

import keras

from keras_grow.files.checked_json import check_int
from keras_grow.growth.text_inputs import check_reads_text
from keras_grow.training.anchor import KLAnchor
from keras_grow.training.anchored_loss import AnchoredLoss
from keras_grow.training.head import OutputHead
from keras_grow.training.overrides import check_not_overridden
from keras_grow.training.steps import REPLACED
from keras_grow.training.steps import Steps
from keras_grow.training.token_weights import TokenWeights

CHUNK_SIZE = 128


def supervised_logits(
    lm: keras.Model,
    enabled: bool = True,
    *,
    chunk_size: int = CHUNK_SIZE,
    token_weights: TokenWeights | None = None,
) -> keras.Model:
    """Train a causal language model on the logits of supervised positions.

    With Gemma's vocabulary the output head is most of a training step, and most
    positions of a batch (prompt, padding) have a sample weight of zero. After
    this call `lm.fit`, `evaluate`, `train_on_batch` and `test_on_batch` apply
    the head only at the positions whose sample weight is not zero. Loss,
    gradients and weighted metrics are those of the plain `fit`. If there are
    more than `chunk_size` supervised positions, the logits are made and used
    one chunk at a time, so peak memory does not grow with vocabulary x
    positions. The number of supervised positions may change from batch to
    batch: nothing is dropped, and nothing is compiled again.

    The model itself is unchanged: `lm(x)`, `predict`, `generate`, `save` and
    what they return or write are the same, and so is a later `compile`.

    Args:
        lm: a KerasHub `CausalLM` of any family whose logits are made from its
            backbone's hidden states; with or without a preprocessor, grown,
            with LoRA or plain.
        enabled: `False` restores the plain training path.
        chunk_size: maximum number of positions whose logits exist at once. 128
            of Gemma 3's are 134 MB in float32.
        token_weights: `"dft"` to multiply the loss of each token, in training
            alone, by the probability that the model gives it: dynamic
            fine-tuning (arXiv 2508.05629). Defaults to `None`.

    Returns:
        `lm`, changed in place.

    Raises:
        TypeError: `lm` is not such a causal language model.
        ValueError: `chunk_size` is not a positive integer, `token_weights` is
            neither `"dft"` nor `None`, the head rounds its inputs (Keras' own
            int8), the model is Gemma 3 with a vision encoder, or the class of
            `lm` overrides a method that this path replaces (`call`,
            `compute_loss`, `compute_metrics`, `train_step` and what goes with
            them). Raised by `fit`: the loss or the metrics need more than the
            supervised positions.

    Example:
        ```python
        lm = keras_hub.models.Gemma3CausalLM.from_preset("gemma3_270m")
        keras_grow.supervised_logits(lm)
        lm.fit({"prompts": prompts, "responses": responses}, batch_size=8)
        ```
    """
    head = _checked(lm)
    chunk_size = check_int(chunk_size, "chunk_size", 1)
    if token_weights not in (None, "dft"):
        raise ValueError(
            'Expected `token_weights` to be "dft" or None. Received: '
            f"token_weights={token_weights!r}"
        )
    steps = _steps_of(lm)
    anchored = steps.anchored if steps else None
    _put(
        lm,
        Steps(lm, head, chunk_size, anchored, token_weights)
        if enabled
        else None,
    )
    return lm


def add_anchor(lm: keras.Model, anchor: KLAnchor | None) -> keras.Model:
    """Hold a model to its base on unlabeled passages while it trains.

    Adds the anchor's penalty to the loss of every training step of `fit` and
    `train_on_batch`; evaluation measures the task alone. The training path
    becomes that of `supervised_logits`, if it is not already. This call
    computes the base's predictions, before training.

    Args:
        lm: a model that `supervised_logits` takes.
        anchor: the penalty; it replaces the one that `lm` has. `None` removes
            that one.

    Returns:
        `lm`, changed in place.

    Raises:
        TypeError: `lm` is not a model that `supervised_logits` takes.
        ValueError: as for `supervised_logits`, the anchor does not fit the
            model, or the model reads more than text.

    Example:
        ```python
        anchor = keras_grow.KLAnchor(wiki_passages, weight=2.0)
        keras_grow.add_anchor(lm, anchor)
        lm.fit(task_data)  # logs task_loss and anchor_loss
        ```
    """
    head = _checked(lm)
    anchored = None
    if anchor is not None:
        anchored = AnchoredLoss(anchor.prepare(lm))
        check_reads_text(lm.backbone)
    steps = _steps_of(lm)
    if steps is None and anchored is None:
        return lm
    chunk_size = steps.chunk_size if steps else CHUNK_SIZE
    token_weights = steps.token_weights if steps else None
    _put(lm, Steps(lm, head, chunk_size, anchored, token_weights))
    return lm


def _steps_of(lm: keras.Model) -> Steps | None:
    """The steps that `supervised_logits` gave to `lm`, if any."""
    steps = getattr(vars(lm).get("train_step"), "__self__", None)
    return steps if isinstance(steps, Steps) else None


def _put(lm: keras.Model, steps: Steps | None) -> None:
    """Give `lm` these steps, or with None its own."""
    for name in REPLACED:
        vars(lm).pop(name, None)
    AnchoredLoss.detach(lm)
    if steps is not None:
        vars(lm).update({name: getattr(steps, name) for name in REPLACED})
        if steps.anchored is not None:
            steps.anchored.attach(lm)
    # A step that is compiled already holds the other path.
    lm.train_function = None
    lm.test_function = None


def _checked(lm: keras.Model) -> OutputHead:
    """The head of a model that can train here; refuses others."""
    head = OutputHead(lm)
    head.check_trains()
    if _steps_of(lm) is None:
        check_not_overridden(lm)
    return head
