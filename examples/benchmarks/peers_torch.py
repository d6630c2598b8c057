"""The sides of `peers.py` that Keras has no part in: transformers on torch."""

import json
import tempfile
import time
from pathlib import Path

from machine import forget_peak
from machine import resident_gb


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


def train(side, folder, rows, arguments):
    """Train with `Trainer`, its batches of rows of like length."""
    import transformers

    transformers.set_seed(0)
    model = load(folder)
    if side == "peft_lora8":
        model = with_lora(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    wall, processor, losses = [], [], []
    positions = []
    collate = transformers.DataCollatorForSeq2Seq(tokenizer)

    def collated(features):
        batch = collate(features)
        positions.append(batch["input_ids"].numel())
        return batch

    class Clock(transformers.TrainerCallback):
        def stamp(self):
            wall.append(time.perf_counter())
            processor.append(time.process_time())

        def on_train_begin(self, *_, **__):
            self.stamp()

        def on_epoch_end(self, *_, **__):
            self.stamp()

        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in logs:
                losses.append(logs["loss"])

    with tempfile.TemporaryDirectory() as output:
        trainer = transformers.Trainer(
            model=model,
            args=transformers.TrainingArguments(
                output_dir=output,
                per_device_train_batch_size=arguments.batch,
                num_train_epochs=arguments.epochs,
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
            callbacks=[Clock()],
        )
        forget_peak()
        trainer.train()
    # A row's last token is a target only, as it is for the others.
    return {
        "wall": wall,
        "processor": processor,
        "peak_gb": resident_gb(peak=True),
        "trainable": sum(
            p.numel() for p in model.parameters() if p.requires_grad
        ),
        "loss": losses[-1],
        "positions": sum(positions) / arguments.epochs - len(rows),
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
