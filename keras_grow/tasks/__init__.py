"""Datasets as prompts and responses."""

from keras_grow.tasks.chat_template import ChatTemplate
from keras_grow.tasks.chats import chat_example
from keras_grow.tasks.encoding import encode
from keras_grow.tasks.example import Example
from keras_grow.tasks.example import Task
from keras_grow.tasks.files import file_task
from keras_grow.tasks.files import read_examples
from keras_grow.tasks.gettext_catalogs import gettext_en_fr
from keras_grow.tasks.holdout import hold_out
from keras_grow.tasks.load import load_task
from keras_grow.tasks.olmo_eval import olmo_eval_task
from keras_grow.tasks.rows import MalformedRowError
from keras_grow.tasks.text import wikitext_articles

__all__ = [
    "ChatTemplate",
    "Example",
    "MalformedRowError",
    "Task",
    "chat_example",
    "encode",
    "file_task",
    "gettext_en_fr",
    "hold_out",
    "load_task",
    "olmo_eval_task",
    "read_examples",
    "wikitext_articles",
]
