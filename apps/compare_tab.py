"""Compare: one prompt, three answers, written side by side."""

from dataclasses import dataclass
from typing import Any

from . import words
from .answers import LIMITS
from .answers import MAX_PROMPT
from .answers import SAMPLERS
from .compare_events import KEPT
from .compare_events import CompareEvents
from .compare_events import follow_link
from .compare_events import from_history
from .compare_events import no_history
from .compare_events import show_history
from .jobs import Jobs
from .models import PANES
from .models import Models
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr

TITLES = {
    "base": ("Base", "The model as it was before."),
    "tuned": (
        "Fine-tuned",
        "Its own weights were trained, or LoRA beside them.",
    ),
    "grown": ("Grown", "The base with new slices, which alone were trained."),
}
NEW_SKILL = (
    "English: Your password was changed.\nFrench:",
    "English: The file could not be found.\nFrench:",
    "English: Please enter a valid email address.\nFrench:",
)
OLD_SKILLS = (
    "The capital of France is",
    "Water boils when",
    "Once upon a time, there was a",
)
_LINK = """(prompt, sampler, temperature, top_k, length, seed, one_line,
    dial, tuned, grown) => {
  const url = new URL(window.location.href);
  url.search = new URLSearchParams({prompt, sampler, temperature, top_k,
    length, seed, one_line: one_line ? 1 : 0, dial, ...(tuned && {tuned}),
    ...(grown && {grown})}).toString();
  window.history.replaceState(null, "", url);
  return url.href;
}"""
_CTRL_ENTER = "Shift+Enter asks, Enter begins a new line."


@dataclass(frozen=True)
class CompareTab:
    """Components that the rest of the page fills.

    Attributes:
        headings: of the three panes.
        tuned: which fine-tuned model answers.
        grown: which grown model answers.
    """

    headings: list[Any]
    tuned: Any
    grown: Any


def build(page: Any, models: Models, jobs: Jobs, history: Any) -> CompareTab:
    """Lay out the tab and wire it.

    Args:
        page: the `gr.Blocks`.
        models: what answers.
        jobs: the queue of prompts.
        history: the visitor's earlier questions, a `gr.BrowserState`.
    """
    prompt = gr.Textbox(
        label="Prompt",
        info=_CTRL_ENTER,
        lines=3,
        max_lines=8,
        max_length=MAX_PROMPT,
        placeholder="Text for the models to continue",
        elem_id="prompt",
    )
    with gr.Row():
        ask = gr.Button(
            "Ask all three", variant="primary", scale=3, elem_id="ask"
        )
        stop = gr.Button("Stop", scale=1, elem_id="stop")
    with gr.Row():
        new = _examples("Try the new skill", NEW_SKILL, "examples-new")
        old = _examples("Try old skills", OLD_SKILLS, "examples-old")
    with gr.Accordion("Settings and models", open=False, elem_id="settings"):
        with gr.Row():
            sampler = gr.Radio(
                list(SAMPLERS),
                value="greedy",
                label="Sampler",
                info="Greedy takes the likeliest token every time.",
                elem_id="sampler",
            )
            one_line = gr.Checkbox(
                True, label="End the answer with its line", elem_id="one-line"
            )
        with gr.Row():
            temperature = gr.Slider(
                *LIMITS["temperature"], 0.8, step=0.05, label="Temperature",
                elem_id="temperature",
            )  # fmt: skip
            top_k = gr.Slider(*LIMITS["top_k"], 40, step=1, label="Top-k")
        with gr.Row():
            length = gr.Slider(
                *LIMITS["length"], 48, step=1, label="Length, in tokens",
                elem_id="length",
            )  # fmt: skip
            # Its range is checked with the question, which says it in words.
            seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
        with gr.Row():
            tuned = _choice("Fine-tuned model", "tuned-model")
            grown = _choice("Grown model", "grown-model")
    headings, texts, notes = [], [], []
    with gr.Row(elem_id="panes"):
        for pane in PANES:
            with gr.Column(min_width=260, elem_id=f"pane-{pane}"):
                title, about = TITLES[pane]
                headings.append(
                    gr.HTML(
                        words.pane_heading(title, about, models.parts[pane])
                    )
                )
                texts.append(
                    gr.Textbox(
                        label=f"{title}: answer",
                        lines=4,
                        max_lines=16,
                        interactive=False,
                        buttons=["copy"],
                        placeholder="No answer yet",
                        elem_id=f"answer-{pane}",
                    )
                )
                notes.append(gr.HTML(elem_id=f"note-{pane}"))
                if pane == "grown":
                    dial = gr.Slider(
                        *LIMITS["dial"], 1.0, step=0.05, label="Dial",
                        info="0 is the base, 1 the growth as it was trained. "
                        "For your next prompt.",
                        elem_id="dial",
                    )  # fmt: skip
    gr.HTML(
        '<p class="kg-about">Drift: how much likelier a model finds the tokens '
        "of its answer than the base finds the same tokens, log p(model) - log "
        "p(base). At 0 the base would have said it just so.</p>"
    )
    with gr.Row():
        link = gr.Button("Make a link to this prompt", elem_id="make-link")
        link_box = gr.Textbox(
            label="Link",
            interactive=False,
            buttons=["copy"],
            placeholder="Opens this page with prompt and settings",
            elem_id="link",
        )
    with gr.Accordion("History", open=False, elem_id="past"):
        empty = gr.HTML(no_history([]))
        past = gr.Dataset(
            components=[gr.Textbox(visible=False)],
            samples=[],
            type="index",
            label="Earlier prompts",
            samples_per_page=KEPT,
            visible=False,
            elem_id="history",
        )
    settings = [prompt, sampler, temperature, top_k, length, seed]
    settings += [one_line, dial]
    panes = [x for pair in zip(texts, notes, strict=True) for x in pair]

    events = CompareEvents(models, jobs)
    asked = gr.on(
        [ask.click, prompt.submit],
        events.clear,
        None,
        panes,
        **QUIET,
    )
    ran = asked.then(
        events.run,
        [tuned, grown, history, *settings],
        [*panes, history],
        show_progress="minimal",
        show_progress_on=texts,
        concurrency_id="models",
        concurrency_limit=1,
        api_visibility="private",
        validator=events.enter,
    )
    ran.failure(events.refused, None, panes, **QUIET)
    stop.click(
        events.stop,
        None,
        None,
        **QUIET,
    )
    for examples, texts_ in ((new, NEW_SKILL), (old, OLD_SKILLS)):
        examples.click(
            lambda index, texts_=texts_: texts_[index],
            examples,
            prompt,
            **QUIET,
        )
    link.click(None, [*settings, tuned, grown], link_box, js=_LINK)
    past.click(
        from_history,
        [past, history],
        [*settings, *panes],
        **QUIET,
    )
    page.load(
        follow_link,
        None,
        settings,
        **QUIET,
    )
    gr.on(
        [page.load, history.change],
        show_history,
        history,
        [past, empty],
        **QUIET,
    )
    return CompareTab(headings, tuned, grown)


def _examples(label: str, prompts: tuple[str, ...], elem_id: str) -> Any:
    return gr.Dataset(
        components=[gr.Textbox(visible=False)],
        samples=[[prompt] for prompt in prompts],
        sample_labels=[prompt.replace("\n", " ") for prompt in prompts],
        type="index",
        label=label,
        elem_id=elem_id,
    )


def _choice(label: str, elem_id: str) -> Any:
    return gr.Dropdown([], label=label, interactive=True, elem_id=elem_id)
