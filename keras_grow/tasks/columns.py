"""Which column of the rows is which field of a format."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

from keras_grow.tasks.formats import CHATS
from keras_grow.tasks.formats import FORMATS
from keras_grow.tasks.formats import RowFormat
from keras_grow.tasks.rows import Row

# Columns that are taken for a format's field when the field itself is absent.
_ALIASES = {"answer": ("gold",), "response": ("completion",)}


def known_columns() -> set[str]:
    """Every column name that has a meaning, in lowercase."""
    names = {alias for aliases in _ALIASES.values() for alias in aliases}
    for format in FORMATS.values():
        names.update(format.fields, format.optional)
    return names | {field for fields in CHATS.values() for field in fields}


class Columns:
    """The columns of a source under the names of a format's fields.

    Names are compared without regard to case and surrounding spaces; an exact
    match comes first. `names` has the source's own name for a field, where it
    differs.
    """

    def __init__(
        self, columns: Collection[str], names: Mapping[str, str]
    ) -> None:
        self.columns = {_plain(column): column for column in columns}
        self.columns.update({column: column for column in columns})
        self.names = names

    def find(self, field: str) -> str | None:
        """The column of a field, or `None`."""
        wanted = self.names.get(field, field)
        for name in (wanted, *_ALIASES.get(field, ())):
            found = self.columns.get(name, self.columns.get(_plain(name)))
            if found is not None:
                return found
        return None

    def has(self, fields: Collection[str]) -> bool:
        """Whether there is a column for each of the fields."""
        return all(self.find(field) is not None for field in fields)

    def name(self) -> str:
        """The format or form of chat whose fields the columns hold."""
        others = {name: f.fields for name, f in FORMATS.items()}
        # Any table may have a column `text` besides its others.
        text = others.pop("text")
        for name, fields in {**others, **CHATS}.items():
            if self.has(fields):
                return name
        alone = {self.find(field) for field in text}
        return "text" if alone == set(self.columns.values()) else ""

    def renamed(self, row: Row, format: RowFormat) -> dict[str, Any]:
        """The fields of a format in a row, under the format's own names."""
        found = {}
        missing = []
        for field in (*format.fields, *format.optional):
            column = self.find(field)
            if column is not None and column in row:
                found[field] = row[column]
            elif field in format.fields:
                missing.append(self.names.get(field, field))
        if missing:
            raise ValueError(
                f"Expected the fields {missing}. Received: {sorted(row)}"
            )
        return found


def _plain(column: str) -> str:
    return column.strip().casefold()
