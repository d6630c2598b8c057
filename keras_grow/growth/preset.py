"""Presets of grown tasks, which KerasHub reads by the name of a class.

It builds a task from its config only if the config names the class that stands
for the backbone, or one below it. Of any other task it takes the defaults.
"""

import json
import os
from pathlib import Path
from typing import Any

import keras
import keras_hub

from keras_grow.files import write_atomically

_TASK = "task.json"


def task_in(preset_dir: str | os.PathLike[str], backbone_cls: type) -> Any:
    """The class of the task that a preset has over a backbone, if any."""
    path = Path(preset_dir) / _TASK
    if not path.is_file():
        return None
    saved = json.loads(path.read_text("utf-8"))
    backbone = saved["config"].get("backbone", {})
    own = keras.saving.get_registered_name(backbone_cls)
    cls = keras.saving.get_registered_object(saved["registered_name"])
    is_task = isinstance(cls, type) and issubclass(cls, keras_hub.models.Task)
    if not is_task or backbone.get("registered_name") != own:
        return None
    return getattr(cls, "plain_class", cls)


def name_task(preset_dir: str | os.PathLike[str], name: str) -> None:
    """Set the name of the class of the task that a preset has."""
    path = Path(preset_dir) / _TASK
    saved = json.loads(path.read_text("utf-8"))
    saved["registered_name"] = name
    with write_atomically(path) as file:
        json.dump(saved, file, indent=4)
