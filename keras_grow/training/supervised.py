"""Logits where the loss is: `fit` without the logits that no loss reads."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_grow.layers.quantised import weights_only
from keras_grow.training.anchor import Anchor
from keras_grow.training.anchored_loss import AnchoredLoss
from keras_grow.training.chunks import sum_over_positions
from keras_grow.training.compiled_loss import check_compiled
from keras_grow.training.compiled_loss import loss_values
from keras_grow.training.compiled_loss import reduction_scale

CHUNK_SIZE = 128
_REPLACED = (
    "make_train_function",
    "make_test_function",
    "train_step",
    "test_step",
)


def supervised_logits(
    lm: keras.Model,
    enabled: bool = True,
    *,
    chunk_size: int = CHUNK_SIZE,
) -> keras.Model:
    """Train a causal language model on the logits of supervised positions only.

    Gemma's vocabulary makes the output head most of a training step, and most
    positions of a batch (prompt, padding) have a sample weight of zero. After
    this call `lm.fit`, `evaluate`, `train_on_batch` and `test_on_batch` apply
    the head at the positions whose sample weight is not zero and nowhere else.
    Loss, gradients and weighted metrics are those of the plain `fit`. Above
    `chunk_size` supervised positions the logits are made and used a chunk at a
    time, so peak memory does not grow with vocabulary x positions. How many
    positions are supervised may change from batch to batch: nothing is
    dropped, nothing is compiled again.

    The model itself is unchanged: `lm(x)`, `predict`, `generate`, `save` and
    what they return or write are the same, and so is a later `compile`.

    Args:
        lm: a KerasHub `CausalLM` whose logits are
            `backbone.token_embedding(hidden, reverse=True)`, such as Gemma and
            Gemma 3; with or without a preprocessor, grown, with LoRA or plain.
        enabled: False puts the plain training path back.
        chunk_size: the most positions whose logits exist at once. 128 of
            Gemma 3's are 134 MB in float32.

    Returns:
        `lm`, changed in place.

    Raises:
        TypeError: `lm` is not a causal language model with such a head.
        ValueError: `chunk_size` is not a positive integer, or the head
            rounds its inputs (Keras' own int8). Raised by `fit`: the loss or
            the metrics need more than the supervised positions.

    Example:
        ```python
        lm = keras_hub.models.Gemma3CausalLM.from_preset("gemma3_270m")
        keras_grow.supervised_logits(lm)
        lm.fit({"prompts": prompts, "responses": responses}, batch_size=8)
        ```
    """
    _check_head(lm)
    if not isinstance(chunk_size, int) or chunk_size < 1:
        raise ValueError(
            "`chunk_size` must be a positive integer, the most positions "
            f"whose logits exist at once. Received: chunk_size={chunk_size!r}"
        )
    steps = _steps_of(lm)
    _put(
        lm,
        _Steps(lm, chunk_size, steps.anchored if steps else None)
        if enabled
        else None,
    )
    return lm


def add_anchor(lm: keras.Model, anchor: Anchor | None) -> keras.Model:
    """Hold a model to its base on unlabelled passages while it trains.

    Adds the anchor's penalty to the loss of every training step of `fit` and
    `train_on_batch`; evaluation measures the task alone. The training path
    becomes that of `supervised_logits`, if it is not already. What the base
    predicts is computed by this call, before training.

    Args:
        lm: a model that `supervised_logits` takes.
        anchor: the penalty, in place of the one that `lm` has. `None` removes
            that one.

    Returns:
        `lm`, changed in place.

    Raises:
        TypeError: `lm` is not a causal language model with such a head.
        ValueError: the anchor does not fit the model.

    Example:
        ```python
        anchor = keras_grow.Anchor(wiki_passages, weight=2.0)
        keras_grow.add_anchor(lm, anchor)
        lm.fit(task_data)  # logs task_loss and anchor_loss
        ```
    """
    _check_head(lm)
    anchored = None if anchor is None else AnchoredLoss(anchor.prepare(lm))
    steps = _steps_of(lm)
    if steps is None and anchored is None:
        return lm
    chunk_size = steps.chunk_size if steps else CHUNK_SIZE
    _put(lm, _Steps(lm, chunk_size, anchored))
    return lm


def _steps_of(lm: keras.Model) -> "_Steps | None":
    """What `supervised_logits` has given `lm`."""
    steps = getattr(vars(lm).get("train_step"), "__self__", None)
    return steps if isinstance(steps, _Steps) else None


def _put(lm: keras.Model, steps: "_Steps | None") -> None:
    """Give `lm` these steps, or its own for None."""
    for name in _REPLACED:
        vars(lm).pop(name, None)
    AnchoredLoss.detach(lm)
    if steps is not None:
        vars(lm).update({name: getattr(steps, name) for name in _REPLACED})
        if steps.anchored is not None:
            steps.anchored.attach(lm)
    # A step that is already compiled holds the other path.
    lm.train_function = None
    lm.test_function = None


def _check_head(lm: Any) -> None:
    """Refuse a model whose logits are not the reversed token embedding."""
    head = getattr(getattr(lm, "backbone", None), "token_embedding", None)
    outputs = getattr(lm, "outputs", None) or []
    if (
        head is None
        or len(outputs) != 1
        or outputs[0]._keras_history.operation is not head
    ):
        raise TypeError(
            "`lm` must be a KerasHub causal language model whose logits are "
            "`lm.backbone.token_embedding(hidden, reverse=True)`, such as "
            "`keras_hub.models.Gemma3CausalLM`. Received: "
            f"lm={lm!r} of type {type(lm).__name__}"
        )

    if not weights_only(head):
        raise ValueError(
            "Expected an output head through which gradients pass. Received: "
            f"`{head.name}`, quantised to {head.quantization_mode}, which "
            "rounds the inputs of the head too. Quantise with "
            "`keras_grow.quantize_base(lm)` instead."
        )


@contextlib.contextmanager
def _methods(lm: keras.Model, **methods: Callable[..., Any]) -> Iterator[None]:
    """Give one model other methods for as long as a step is traced or run."""
    vars(lm).update(methods)
    try:
        yield
    finally:
        for name in methods:
            del vars(lm)[name]


class _Steps:
    """The train and test step of `lm`, with hidden states for outputs.

    Keras' own steps run, on each backend, with other answers to three
    questions they ask of the model: its outputs, its loss, its metrics.
    """

    def __init__(
        self, lm: keras.Model, chunk_size: int, anchored: AnchoredLoss | None
    ) -> None:
        self.lm = lm
        self.chunk_size = chunk_size
        self.anchored = anchored
        self.step: Any = None

    # A step that fails on JAX takes the weights with it, so what can be
    # refused is refused while the step is made.

    def make_train_function(self, force: bool = False) -> Any:
        if force or self.lm.train_function is None:
            check_compiled(self.lm)
        return type(self.lm).make_train_function(self.lm, force)

    def make_test_function(self, force: bool = False) -> Any:
        if force or self.lm.test_function is None:
            check_compiled(self.lm)
        return type(self.lm).make_test_function(self.lm, force)

    def train_step(self, *arguments: Any) -> Any:
        self.step = _step_number(self.lm.optimizer, arguments)
        return self._run(type(self.lm).train_step, arguments)

    def test_step(self, *arguments: Any) -> Any:
        self.step = None
        return self._run(type(self.lm).test_step, arguments)

    def _run(self, step: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        with _methods(
            self.lm,
            call=self.call,
            compute_loss=self.compute_loss,
            compute_metrics=self.compute_metrics,
        ):
            return step(self.lm, *arguments)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The hidden states, in place of the logits."""
        return self.lm.backbone(inputs, training=training, mask=mask)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss; the weighted metrics see its logits on the way."""
        lm = self.lm
        loss = keras.losses.get(lm.loss)
        metrics = lm._compile_metrics
        variables = metrics.variables if metrics else []
        head = lm.backbone.token_embedding

        shape = ops.shape(y_pred)[:-1]
        if sample_weight is None:
            sample_weight = ops.ones(shape)
        weights = ops.cast(sample_weight, "float32")
        scale = reduction_scale(lm, loss, shape, weights)

        def term(
            hidden: Any, weights: Any, targets: list[Any], state: list[Any]
        ) -> tuple[Any, list[Any]]:
            (labels,) = targets
            # The softmax is in float32 under any compute dtype, as in Keras.
            logits = ops.cast(head(hidden, reverse=True), "float32")
            values = loss_values(loss, labels, logits)
            total = ops.sum(values * weights) * scale
            if metrics is None:
                return total, state
            mapping = list(zip(variables, state, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                metrics.update_state(labels, logits, sample_weight=weights)
            updated = [scope.get_current_value(v) for v in variables]
            return total, updated

        total, state = sum_over_positions(
            term,
            head,
            hidden=ops.reshape(y_pred, (-1, y_pred.shape[-1])),
            weights=ops.reshape(ops.broadcast_to(weights, shape), (-1,)),
            targets=[ops.reshape(y, (-1,))],
            state=[ops.convert_to_tensor(v.value) for v in variables],
            chunk_size=self.chunk_size,
            differentiate=training,
        )
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        for extra in lm.losses:
            total = total + ops.sum(ops.cast(extra, total.dtype))
        if self.anchored is not None and training:
            total = self.anchored.add(
                total, lm, self.step, ops.shape(y_pred)[0], self.chunk_size
            )
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        """What `compute_loss` has counted."""
        logs = self.lm.get_metrics_result()
        if self.step is None and self.anchored is not None:
            # Evaluation measures the task alone.
            for metric in self.anchored.metrics:
                del logs[metric.name]
        return logs


def _step_number(optimizer: Any, arguments: tuple[Any, ...]) -> Any:
    """How many updates there were, which a resumed training remembers."""
    # A scaled loss is counted by the optimizer inside.
    counter = getattr(optimizer, "inner_optimizer", optimizer)._iterations
    if keras.config.backend() != "jax":
        return ops.convert_to_tensor(counter)
    # On JAX the variables hold no values while a step runs: its state does.
    _, _, optimizer_variables, _ = arguments[0]
    for variable, value in zip(
        optimizer.variables, optimizer_variables, strict=True
    ):
        if variable is counter:
            return value
    raise RuntimeError(
        "Expected the optimizer's variables to include its step counter. "
        f"Received: {optimizer!r}"
    )
