"""The trainings that there are: rename, notes, go on, delete."""

import dataclasses
from pathlib import Path
from typing import Any

from . import access
from . import training_folders
from . import words
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .trainer import Busy
from .trainer import Trainer

_HIDDEN = gr.update(visible=False)


def build(trainer: Trainer, owner: Any) -> None:
    """Lay out the list of trainings and wire it.

    `owner` is the key that the visitor's browser keeps.
    """
    with gr.Accordion("Trainings", open=False, elem_id="trainings") as panel:
        chosen = gr.Dropdown(
            [], label="Training", value=None, elem_id="training"
        )
        about = gr.HTML(elem_id="training-about")
        name = gr.Textbox(label="New name", max_length=80, elem_id="rename")
        notes = gr.Textbox(
            label="Notes",
            info="For yourself and those who use this page",
            lines=3,
            elem_id="training-notes",
        )
        with gr.Row():
            save = gr.Button("Save name and notes", elem_id="training-save")
            go_on = gr.Button("Go on with it", elem_id="training-go-on")
            ask = gr.Button("Delete", elem_id="training-delete")
        with gr.Group(visible=False) as asked:
            question = gr.HTML(elem_id="training-question")
            with gr.Row():
                yes = gr.Button(
                    "Yes, delete it", variant="stop", elem_id="training-yes"
                )
                no = gr.Button("No, keep it", elem_id="training-no")
    events = PanelEvents(trainer)
    panel.expand(events.listed, chosen, chosen, **QUIET)
    chosen.change(events.look, chosen, [about, name, notes, asked], **QUIET)
    save.click(
        events.keep, [chosen, name, notes, owner], [about, chosen], **QUIET
    )
    go_on.click(events.resume, [chosen, owner], about, **QUIET)
    ask.click(events.wonder, chosen, [question, asked], **QUIET)
    yes.click(events.remove, [chosen, owner], [about, chosen, asked], **QUIET)
    no.click(lambda: _HIDDEN, None, asked, **QUIET)


class PanelEvents:
    """Handlers of the list; `owner` is the key of the visitor's browser."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def listed(self, value: str | None = None) -> Any:
        """The trainings to choose from."""
        found = training_folders.all_of(self.trainer.folder)
        names = [folder.name for folder in found]
        return gr.Dropdown(
            choices=[(training_folders.name_of(f), f.name) for f in found],
            value=value if value in names else None,
        )

    def look(self, value: str | None) -> list[Any]:
        """How the chosen one stands, its name and its notes."""
        folder, note = self._found(value)
        if folder is None or note is None:
            # What was said of one that was deleted stays.
            return [gr.skip(), "", "", _HIDDEN]
        return [_about(folder), note.name, note.notes, _HIDDEN]

    def keep(
        self,
        request: gr.Request,
        value: str | None,
        name: str,
        notes: str,
        owner: str,
    ) -> list[Any]:
        """Give it a name and notes."""
        folder, note = self._found(value)
        if folder is None or note is None:
            return [words.note("error", "Choose a training."), gr.skip()]
        if not access.may_change(request, owner, note):
            return [words.note("error", access.REFUSED), gr.skip()]
        name = name.strip() or note.name
        if name != note.name:
            name = training_folders.free_name(self.trainer.folder, name)
        try:
            training_folders.write_note(
                folder, dataclasses.replace(note, name=name, notes=notes or "")
            )
        except OSError as error:
            return [words.note("error", str(error)), gr.skip()]
        self.trainer.say_changed()
        return [words.note("good", f"Saved: {name}."), self.listed(value)]

    def resume(self, request: gr.Request, value: str | None, owner: str) -> str:
        """Let it go on from its last save."""
        folder, note = self._found(value)
        if folder is None:
            return words.note("error", "Choose a training.")
        if not training_folders.can_go_on(folder):
            return words.note("info", "It has already ended.")
        if not access.may_change(request, owner, note):
            return words.note("error", access.REFUSED)
        try:
            self.trainer.go_on(folder, access.visitor(request, owner))
        except (Busy, OSError, ValueError) as error:
            return words.note("error", str(error))
        return words.note("good", "It goes on; see above.")

    def wonder(self, value: str | None) -> list[Any]:
        """Ask whether it is to be deleted."""
        folder, _ = self._found(value)
        if folder is None:
            return ["", _HIDDEN]
        name = training_folders.name_of(folder)
        text = f"Delete {name} and its model for good?"
        return [words.note("warning", text), gr.Group(visible=True)]

    def remove(
        self, request: gr.Request, value: str | None, owner: str
    ) -> list[Any]:
        """Delete it with its model."""
        folder, note = self._found(value)
        if folder is None:
            said = words.note("error", "It is not there any more.")
        elif not access.may_change(request, owner, note):
            said = words.note("error", access.REFUSED)
        else:
            try:
                self.trainer.delete(folder)
                said = words.note("good", "Deleted.")
            except (OSError, ValueError) as error:
                said = words.note("error", str(error))
        return [said, self.listed(), _HIDDEN]

    def _found(
        self, value: str | None
    ) -> tuple[Path | None, training_folders.Note | None]:
        """The training of this name, and what is said of it."""
        folder = training_folders.find(self.trainer.folder, value)
        return folder, training_folders.read_note(folder) if folder else None


def _about(folder: Path) -> str:
    if training_folders.is_running(folder):
        return words.note("info", "It is running.")
    if training_folders.is_done(folder):
        return words.note("good", "It is done; its model can be compared.")
    return words.note(
        "warning",
        "It was interrupted, or nothing was learned. It can be resumed "
        "from its last save.",
    )
