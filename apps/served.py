"""Files where Gradio may serve them: nothing else of their folders is."""

import hashlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from keras_grow.files import atomic_path
from keras_grow.files import write_atomically


class Served:
    """A folder of downloads, each there once, that goes with this object."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="keras_grow_"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def file(self, source: Path) -> str:
        """A link to a file, or a copy where it lies on another disk."""
        found = source.stat()
        own = self._own(f"{source.resolve()} {found.st_size} {found.st_mtime}")
        target = own / source.name
        if not target.exists():
            try:
                os.link(source, target)
            except OSError:
                with atomic_path(target) as part:
                    shutil.copyfile(source, part)
        return str(target)

    def text(self, name: str, text: str) -> str:
        """A file of this name with this text."""
        target = self._own(text) / name
        if not target.exists():
            with write_atomically(target) as file:
                file.write(text)
        return str(target)

    def _own(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        own = self._folder / name
        own.mkdir(exist_ok=True)
        return own
