"""The sides of `peers.py` that Keras has no part in: transformers on torch."""

import json
import tempfile
import time
from pathlib import Path


def load(folder):
    """The model in float32."""
    import torch
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    )


def with_lora(model, **options):
    """The model with PEFT's LoRA of rank 8 at every linear layer."""
    import peft

    config = peft.LoraConfig(
        r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config, **options)


def train(side, folder, rows, batch, turns):
    """Train with `Trainer`, its batches of rows of like length."""
    import transformers

    transformers.set_seed(0)
    model = load(folder)
    if side == "peft_lora8":
        model = with_lora(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    collate = transformers.DataCollatorForSeq2Seq(tokenizer)
    losses, positions = [], []

    def collated(features):
        made = collate(features)
        positions.append(made["input_ids"].numel())
        return made

    class Clock(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            turns.begin(state.max_steps)

        def on_step_end(self, *_, **__):
            turns.updated()

        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in logs:
                losses.append(logs["loss"])

    def epoch(rows, callbacks):
        with tempfile.TemporaryDirectory() as output:
            transformers.Trainer(
                model=model,
                args=transformers.TrainingArguments(
                    output_dir=output,
                    per_device_train_batch_size=batch,
                    num_train_epochs=1,
                    learning_rate=1e-5,
                    lr_scheduler_type="constant",
                    train_sampling_strategy="group_by_length",
                    logging_strategy="epoch",
                    save_strategy="no",
                    report_to=[],
                    use_cpu=True,
                    disable_tqdm=True,
                    dataloader_pin_memory=False,
                ),
                train_dataset=rows,
                data_collator=collated,
                callbacks=callbacks,
            ).train()

    begin = time.perf_counter()
    epoch(rows[:batch], [])
    warmed = time.perf_counter() - begin
    positions.clear()
    epoch(rows, [Clock()])
    return {
        "first_s": warmed,
        "trainable": sum(
            p.numel() for p in model.parameters() if p.requires_grad
        ),
        "loss": losses[-1],
        # A row's last token is a target only, as it is for the others.
        "positions": sum(positions) - len(rows),
    }


def harness(folder, rows, words, arguments):
    """A function that scores both sets by lm-evaluation-harness."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from keras_grow.evaluation.harness_check import harness_winogrande

    lm = HFLM(
        pretrained=load(folder),
        tokenizer=str(folder),
        batch_size=16,
        device="cpu",
        add_bos_token=True,
    )

    def run():
        with tempfile.TemporaryDirectory() as name:
            made = Path(name)
            results = lm_eval.simple_evaluate(
                lm,
                tasks=[harness_winogrande(rows, made), _lambada(words, made)],
                task_manager=TaskManager(include_defaults=False),
                bootstrap_iters=0,
            )["results"]
        return tuple(
            float(results[task]["acc,none"])
            for task in ("winogrande_local", "lambada_local")
        )

    return run


def _lambada(words, folder):
    """lm-eval's own LAMBADA task, over rows in a local file."""
    import lm_eval.tasks

    own = Path(lm_eval.tasks.__file__).parent / "lambada/lambada_openai.yaml"
    data = folder / "lambada.jsonl"
    data.write_text(
        "".join(
            json.dumps({"text": word.prompt + word.response}) + "\n"
            for word in words
        ),
        "utf-8",
    )
    definition = {
        "include": str(own),
        "task": "lambada_local",
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {"test": str(data)},
            "cache_dir": str(folder / "cache"),
        },
    }
    path = folder / "lambada_local.yaml"
    path.write_text(json.dumps(definition), "utf-8")
    return str(path)


def generate(folder, new):
    """A function that writes `new` tokens after rows of prompt tokens."""
    import torch

    model = load(folder).eval()

    def run(prompts):
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new,
                min_new_tokens=new,
                do_sample=False,
            )

    return run
