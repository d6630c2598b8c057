"""The cases of `step.py` that Keras has no part in: transformers on torch.

`transformers_sft` trains every weight, `peft_lora8` PEFT's LoRA of rank 8 at
every linear layer, both in a plain loop, as a `Trainer` runs it: eager, with
scaled-dot-product attention, AdamW, and transformers' own loss, which computes
the logits of every position.
"""

import itertools
import time

from machine import await_turn
from machine import device_gb
from machine import device_name
from machine import forget_peak
from machine import resident_gb
from peers_torch import with_lora
from shapes import SHAPES

CASES = ("transformers_sft", "peft_lora8")


def measure(arguments, batch):
    """Train one case in this process; figures as plain values."""
    import torch

    device = "cuda" if arguments.device == "gpu" else "cpu"
    torch.manual_seed(0)
    model = make_model(
        arguments.one, arguments.model[0], arguments.dtype, device
    )
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=device == "cuda")
    compute = getattr(torch, arguments.dtype.removeprefix("mixed_"))
    mixed = torch.autocast(
        device, compute, enabled=arguments.dtype.startswith("mixed_")
    )
    tokens, supervised = batch(model.config.vocab_size)
    labels = tokens.copy()
    # transformers moves the labels itself, by one.
    labels[:, : supervised.start + 1] = -100
    labels[:, supervised.stop + 1 :] = -100
    rows = [torch.from_numpy(x.astype("int64")) for x in (tokens, labels)]
    stamps, processor, losses = [], [], []

    def stamp():
        if device == "cuda":
            torch.cuda.synchronize()
        stamps.append(time.perf_counter())
        processor.append(time.process_time())

    await_turn()
    forget_peak()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    loaded = resident_gb()
    stamp()
    for _ in range(arguments.steps + 2):
        ids, targets = (x.to(device) for x in rows)
        with mixed:
            loss = model(input_ids=ids, labels=targets, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        stamp()
    first, _, *seconds = [b - a for a, b in itertools.pairwise(stamps)]
    moments = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if value.dim()
    ]
    held = [*model.parameters(), *model.buffers(), *trained, *moments]
    return {
        "steps_s": seconds,
        "cpu_s": [b - a for a, b in itertools.pairwise(processor)][2:],
        "first_step_s": first,
        "loaded_gb": loaded,
        "host_peak_gb": resident_gb(peak=True),
        "state_gb": sum(x.nbytes for x in held) / 1e9,
        "losses": [losses[0], losses[-1]],
        "device_peak_gb": device_gb("torch"),
        "device": device_name("torch"),
        "trained_in": _dtypes(trained),
        "moments_in": _dtypes(moments),
        "parameters": sum(p.numel() for p in model.parameters()),
        # `step.py` takes those of SFT, whose products are the same.
        "formula_flops": None,
    }


def make_model(case, model, dtype, device="cpu"):
    """A Gemma 3 with random weights that trains as `case` says."""
    import torch
    import transformers

    if model not in SHAPES:
        raise ValueError(
            f"Expected random weights: one of {', '.join(SHAPES)}. "
            f"Received: {model!r}"
        )
    shape = SHAPES[model]
    config = transformers.Gemma3TextConfig(
        vocab_size=shape["vocabulary_size"],
        hidden_size=shape["hidden_dim"],
        intermediate_size=shape["intermediate_dim"],
        num_hidden_layers=shape["num_layers"],
        num_attention_heads=shape["num_query_heads"],
        num_key_value_heads=shape["num_key_value_heads"],
        head_dim=shape["head_dim"],
        query_pre_attn_scalar=shape["head_dim"],
        sliding_window=shape["sliding_window_size"],
    )
    stored = torch.float32
    if not dtype.startswith("mixed_"):
        stored = getattr(torch, dtype)
    # Where the weights are made, so that a GPU draws the random numbers.
    with torch.device(device):
        lm = transformers.AutoModelForCausalLM.from_config(
            config, dtype=stored, attn_implementation="sdpa"
        )
    if case == "peft_lora8":
        # PEFT would keep the adapters of a bfloat16 model in float32, and
        # multiply in it.
        with torch.device(device):
            lm = with_lora(lm, autocast_adapter_dtype=False)
    return lm.train()


def _dtypes(tensors):
    return sorted({str(x.dtype).removeprefix("torch.") for x in tensors})
