"""Grow, fit, save, load, switch off, merge: the whole life of a growth."""

import pathlib
import sys

import keras
import keras_hub

import keras_grow
from keras_grow import load_causal_lm

PROMPTS = ["English: Save\nFrench:", "English: Delete\nFrench:"]
RESPONSES = [" Enregistrer", " Supprimer"]


def main(model: str = "gemma3_270m_pip", folder: str = "runs") -> None:
    """Run every step on the named model (a preset, a GGUF file, a folder)."""
    lm = load_causal_lm(model)

    # Grow: the MLPs of the last four blocks get twice as wide; the function
    # stays.
    keras_grow.grow_model(lm, layers=4)
    print(keras_grow.verify_preserved(lm, PROMPTS))
    print(keras_grow.growth_report(lm))

    # Fit as usual. Only the new slices train; logits are computed for the
    # responses alone.
    lm.preprocessor.sequence_length = 32
    lm.compile(optimizer=keras.optimizers.Adam(2e-5))
    keras_grow.supervised_logits(lm)
    data = {"prompts": PROMPTS, "responses": RESPONSES}
    lm.fit(data, batch_size=2, epochs=5)
    print("grown:", lm.generate(PROMPTS[0], max_length=16))

    # Switch off: exactly the base, at any moment.
    with keras_grow.growth_disabled(lm):
        print("base: ", lm.generate(PROMPTS[0], max_length=16))

    # Save the new slices alone, and load them onto a fresh base.
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    keras_grow.save_growth(lm, f"{folder}/quickstart.grow.safetensors")
    fresh = load_causal_lm(model)
    keras_grow.load_growth(fresh, f"{folder}/quickstart.grow.safetensors")

    # Merge: a plain KerasHub preset for serving, without keras_grow.
    keras_grow.merge_growth(fresh).save_to_preset(f"{folder}/merged")
    plain = keras_hub.models.CausalLM.from_preset(f"{folder}/merged")
    print("plain:", plain.generate(PROMPTS[0], max_length=16))


if __name__ == "__main__":
    main(*sys.argv[1:])
