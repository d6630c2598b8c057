"""Models in the formats of other programs, each made once, when asked for."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from keras_grow.files import atomic_path

from .forms import FORMS
from .runs import Entry

_COMMAND = "import sys; from keras_grow.command import main; sys.exit(main())"


class Refused(Exception):
    """An export that cannot be, in words for the visitor."""


def stem(entry: Entry) -> str:
    """What the files of a model are called, after its name on the page."""
    return re.sub(r"[^\w.-]+", "-", entry.label).strip("-.") or "model"


def name(entry: Entry, form: str) -> str:
    """Name of a model's file in a form, a key of `FORMS`."""
    return stem(entry) + FORMS[form].suffix


def made(entry: Entry, form: str) -> Path | None:
    """The file of a model in a form, or None where it is still to be made."""
    if not FORMS[form].make:
        return entry.growth_file
    file = _folder(entry) / name(entry, form)
    return file if file.exists() else None


def card(entry: Entry, form: str) -> str:
    """The model card of a file that was made; empty where there is none."""
    file = made(entry, form)
    if file is None:
        return ""
    try:
        if file.suffix != ".zip":
            return file.with_name(f"{file.name}.md").read_text("utf-8")
        with zipfile.ZipFile(file) as archive:
            return archive.read(f"{stem(entry)}/README.md").decode()
    except (OSError, KeyError, zipfile.BadZipFile):
        return ""


def make(entry: Entry, form: str) -> None:
    """Write a model in a form that can be made, in bfloat16, with its card.

    The model is loaded and written by a process of its own, whose memory goes
    with it. What is written is there whole or not at all.
    """
    own = _folder(entry)
    file, folder = own / name(entry, form), own / stem(entry)
    try:
        own.mkdir(exist_ok=True)
        for old in own.glob(f"*{file.suffix}*"):
            old.unlink()  # Under a name that the run had before.
        if file.suffix != ".zip":
            _run(entry, form, file)
            return
        shutil.rmtree(folder, ignore_errors=True)  # Of an app that was killed.
        _run(entry, form, folder)
        with (
            atomic_path(file) as part,
            # Weights hardly become smaller.
            zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
        ):
            for each in sorted(folder.iterdir()):
                archive.write(each, f"{folder.name}/{each.name}")
    except OSError as error:
        raise Refused(
            f"The run's folder cannot be written: {error}. Free some space, or "
            "start the app on a writable copy."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(entry: Entry) -> Path:
    return entry.own / "export"


def _run(entry: Entry, form: str, target: Path) -> None:
    words = [os.fspath(entry.own), os.fspath(target), "--to", form]
    words += FORMS[form].options
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "export", *words],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit status {done.returncode}"
        raise Refused(f"It could not be written. {said[:500]}")
