"""A cached attention layer that grows by separate slices."""

from typing import Any

from keras import ops
from keras.layers import Layer

from keras_grow.keras_internals import apply_rope
from keras_grow.keras_internals import compute_attention
from keras_grow.layers import expand

GROWS = ("heads", "head_dim")


class GrownAttention(Layer):
    """A Gemma attention layer with more query heads, or with larger heads.

    The original layer, the base, is kept whole; the new slices have their own
    variables, which start as `k - 1` copies of the base's kernels. The base's
    norms, rotary embedding, query scale, soft cap and sliding window also apply
    to the copies.

    With `grows="heads"` there are `k` times as many query heads. A new head
    attends to the keys and values of the head that it copies, so the groups and
    the cache are as before:

        y = sum_c attention(q_c, K, V) O_c,    O_c = O / k at the start

    With `grows="head_dim"` queries, keys and values of a head become `k` times
    as long. Each copy is normalized and rotated separately, with the base's
    scale and frequencies, so that the frozen part of a head does not change
    with the new part. The score of the head is the mean of its copies':

        y = sum_c softmax(mean_c(q_c K_c) / sqrt(h)) V_c O_c

    Cached keys and values are then `k` times as long: the first call takes a
    cache of the base's size and returns a larger one. Gemma and Gemma 2 keep
    the cache of all blocks in one array, so they can cache `"head_dim"` only if
    every block grows in the same way (`every_block`).

    These are the ablations of arXiv 2603.08647 that grow the attention in place
    of the MLP.
    """

    def __init__(
        self,
        base: Layer,
        grows: str,
        factor: int = 2,
        slice_dtype: str = "float32",
        every_block: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("name", base.name)
        kwargs.setdefault("dtype", base.dtype_policy)
        super().__init__(**kwargs)
        self.base = base
        self.grows = grows
        self.factor = factor
        self.every_block = every_block
        self.growth_enabled = True
        self.ablation = "attention"

        def new(layer: Layer) -> Layer:
            return _slice_like(layer, factor - 1, slice_dtype)

        self.query_slice = new(base.query_dense)
        if grows == "head_dim":
            self.key_slice = new(base.key_dense)
            self.value_slice = new(base.value_dense)
        self.output_slice = new(base.output_dense)

    @property
    def query_dense(self) -> Layer:
        """The base's own query projection, where a family's row expects it."""
        return self.base.query_dense

    @property
    def key_dense(self) -> Layer:
        """The base's own key projection."""
        return self.base.key_dense

    @property
    def value_dense(self) -> Layer:
        """The base's own value projection."""
        return self.base.value_dense

    @property
    def output_dense(self) -> Layer:
        """The base's own output projection."""
        return self.base.output_dense

    @property
    def slices(self) -> list[Layer]:
        """The layers that are new."""
        if self.grows == "heads":
            return [self.query_slice, self.output_slice]
        return [
            self.query_slice,
            self.key_slice,
            self.value_slice,
            self.output_slice,
        ]

    def build(self, input_shape: Any) -> None:
        """Build the slices, as copies of the base."""
        base = [self.base.query_dense, self.base.output_dense]
        if self.grows == "head_dim":
            base[1:1] = [self.base.key_dense, self.base.value_dense]
        copies = self.factor - 1
        for old, new in zip(base, self.slices, strict=True):
            heads, size, _ = old.kernel.shape
            to_hidden = old is self.base.output_dense
            new.build(
                (None, None, copies * heads, size)
                if to_hidden
                else tuple(input_shape)
            )
            kernel = ops.cast(old.kernel, new.kernel.dtype)
            scale = 1.0 / self.factor if to_hidden else 1.0
            new.kernel.assign(expand.copy_rows(kernel, copies, scale))
        self.built = True

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        cache: Any = None,
        cache_update_index: Any = 0,
        cache_update_mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Attend; the arguments are those of KerasHub's Gemma 3."""
        if not self.growth_enabled:
            # Gemma's attention takes no update mask.
            extra = {"cache_update_mask": cache_update_mask}
            return self.base(
                x,
                attention_mask=attention_mask,
                cache=cache,
                cache_update_index=cache_update_index,
                training=training,
                **(extra if cache_update_mask is not None else {}),
            )
        query, key, value = self._project(x, cache_update_index)
        if cache is not None:
            cache = self._updated(
                cache, key, value, cache_update_index, cache_update_mask
            )
            key, value = _key_and_value(cache)

        def attend(queries: Any) -> Any:
            vector = compute_attention(
                self.base,
                queries,
                key,
                value,
                attention_mask,
                training=training,
                cache_update_index=cache_update_index,
            )
            empty = ops.all(ops.equal(attention_mask, 0), axis=-1)
            return ops.where(
                empty[..., None, None], ops.zeros_like(vector), vector
            )

        if self.grows == "heads":
            vectors = [attend(part) for part in query]
        else:
            # The base scales by its own head size; the mean adds a factor 1/k.
            long = ops.concatenate(query, axis=-1) * (1.0 / self.factor)
            vectors = ops.split(attend(long), self.factor, axis=-1)
        outputs = self.base.output_dense(vectors[0]) * (1.0 / self.factor)
        new = ops.concatenate(vectors[1:], axis=2)
        outputs = outputs + self.output_slice(new)
        return outputs if cache is None else (outputs, cache)

    def _project(self, x: Any, position: Any) -> tuple[list[Any], Any, Any]:
        """Queries copy by copy `[b, t, n, h]`; keys and values, cached."""
        base = self.base
        normed = getattr(base, "use_query_key_norm", False)

        def placed(heads: Any, norm: str) -> Any:
            if normed:
                heads = getattr(base, norm)(heads)
            return apply_rope(base, heads, position)

        query = [
            placed(base.query_dense(x), "query_norm"),
            *self._copies(placed(self.query_slice(x), "query_norm")),
        ]
        key = placed(base.key_dense(x), "key_norm")
        value = base.value_dense(x)
        if self.grows == "head_dim":
            keys = self._copies(placed(self.key_slice(x), "key_norm"))
            values = self._copies(self.value_slice(x))
            key = ops.concatenate([key, *keys], axis=-1)
            value = ops.concatenate([value, *values], axis=-1)
        return query, key, value

    def _copies(self, heads: Any) -> list[Any]:
        """The copies, which follow one another among the heads."""
        # No `ops.split`: KerasHub scales queries in place, which PyTorch
        # refuses for its parts.
        size = heads.shape[2] // (self.factor - 1)
        starts = range(0, heads.shape[2], size)
        return [heads[:, :, start : start + size] for start in starts]

    def _updated(
        self, cache: Any, key: Any, value: Any, index: Any, mask: Any
    ) -> Any:
        """The cache, widened if it is of the base's size, with new entries."""
        stacked = not isinstance(cache, (tuple, list))
        if stacked and self.grows == "head_dim" and not self.every_block:
            raise ValueError(
                "Expected every block to be grown: this model keeps the keys "
                "and values of all blocks in one array, which cannot hold "
                "longer ones for some blocks only. Received: `generate` after "
                '`grow_attention(model, grows="head_dim", layers=...)` of '
                'some blocks. Grow all blocks, or grow "heads".'
            )
        if mask is not None:
            mask = mask[..., None, None]
        parts = tuple(
            _write(old, new, index, mask)
            for old, new in zip(
                _key_and_value(cache), (key, value), strict=True
            )
        )
        return ops.stack(parts, axis=1) if stacked else parts

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Attention keeps the shape of its input."""
        return input_shape


def _key_and_value(cache: Any) -> tuple[Any, Any]:
    if isinstance(cache, (tuple, list)):
        return cache[0], cache[1]
    return cache[:, 0, ...], cache[:, 1, ...]


def _write(cache: Any, update: Any, index: Any, mask: Any) -> Any:
    """`cache [b, s, n, h]` with `update [b, t, n, k h]` from `index` on."""
    missing = update.shape[-1] - cache.shape[-1]
    if missing:
        cache = ops.pad(cache, [(0, 0), (0, 0), (0, 0), (0, missing)])
    start = [0, index, 0, 0]
    if mask is not None:
        kept = ops.slice(cache, start, ops.shape(update))
        update = ops.where(mask, update, kept)
    return ops.slice_update(cache, start, update)


def _slice_like(layer: Layer, copies: int, slice_dtype: str) -> Layer:
    """An unbuilt projection like `layer`, for `copies` times its heads."""
    config = layer.get_config()
    compute = layer.compute_dtype
    policy = compute if slice_dtype == compute else f"mixed_{compute}"
    config.update(name=f"{layer.name}_slice", dtype=policy, trainable=True)
    config.update(kernel_initializer="zeros")
    for key in ("lora_rank", "lora_alpha", "quantization_config"):
        config.pop(key, None)
    heads, size, _ = layer.kernel.shape
    if len(config["output_shape"]) == 3:  # To heads, not back from them.
        size = config["output_shape"][-1]
        config["output_shape"] = (None, copies * heads, size)
    return layer.__class__.from_config(config)
