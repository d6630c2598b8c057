"""The settings of a question: sampling, chat and mixed growths."""

from dataclasses import dataclass
from typing import Any

from .answers import LIMITS
from .answers import SAMPLERS
from .placing import MIXES
from .quick_gradio import gradio as gr


@dataclass(frozen=True)
class Settings:
    """Components of the settings.

    `drawing` are sampler, temperature, top-k, length, seed and one line, the
    fields of a `Question` after its prompt. `plain` is whether a chat is shown
    as text. `clear` begins a new chat. `mix` has the dials of the growths that
    are mixed.
    """

    drawing: list[Any]
    drift: Any
    chat: Any
    system: Any
    plain: Any
    clear: Any
    mix: list[Any]

    @property
    def fields(self) -> list[Any]:
        """Fields of a `Question` in their order, all but its prompt."""
        return [*self.drawing, self.drift, self.chat, self.system]


def build(is_chat: bool) -> Settings:
    """Lay them out; `is_chat` is whether the model was made for chats."""
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        drawing = _drawing()
        drift = gr.Checkbox(
            True,
            label="Show drift under the words",
            info="How much likelier the model finds a token than the base "
            "does, log p(model) - log p(base). Dotted: the base finds it "
            "likelier. Point at a word, or walk with the arrow keys.",
            elem_id="drift",
        )
    with gr.Accordion("Chat", open=is_chat, elem_id="chatting"):
        with gr.Row():
            chat = gr.Checkbox(
                is_chat,
                label="Chat",
                info="For chat models: each prompt becomes a turn.",
                elem_id="chat",
            )
            plain = gr.Checkbox(
                False, label="Plain text, no Markdown", elem_id="plain"
            )
            clear = gr.Button("New chat", elem_id="new-chat")
        system = gr.Textbox(
            "", label="System prompt", lines=1, max_lines=4, elem_id="system"
        )
    with gr.Accordion("Mix growths", open=False, elem_id="mixing"):
        gr.HTML(
            '<p class="kg-about">Choose "Growths, mixed" in a pane to answer '
            "with all of these at once.</p>"
        )
        mix = [
            gr.Slider(
                0.0,
                1.0,
                0.0,
                step=0.05,
                visible=False,
                label=f"Growth {index + 1}",
                elem_id=f"mix-{index}",
            )
            for index in range(MIXES)
        ]
    return Settings(drawing, drift, chat, system, plain, clear, mix)


def _drawing() -> list[Any]:
    with gr.Row():
        sampler = gr.Radio(
            list(SAMPLERS),
            value="greedy",
            label="Sampler",
            info="Greedy takes the likeliest token every time.",
            elem_id="sampler",
        )
        one_line = gr.Checkbox(
            False, label="End the answer at a line break", elem_id="one-line"
        )
        # Its range is checked with the question, which says it in words.
        seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
    with gr.Row():
        sliders = [
            gr.Slider(
                *LIMITS[name],
                value,
                step=step,
                label=label,
                elem_id=name.replace("_", "-"),
            )
            for name, value, step, label in (
                ("temperature", 0.8, 0.05, "Temperature"),
                ("top_k", 40, 1, "Top-k"),
                ("length", 48, 1, "Length, in tokens"),
            )
        ]
    return [sampler, *sliders, seed, one_line]
