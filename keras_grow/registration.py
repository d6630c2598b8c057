"""Registers the grown classes with Keras, without loading Keras for it.

Keras finds the classes of `.keras` files and presets only by their registered
names: it imports no modules but its own and KerasHub's to look for them. So
they must be registered when a model is loaded, although `import keras_grow` may
come first and loads nothing.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence


def register_with_keras() -> None:
    """Register now if Keras is loaded, otherwise once it is imported."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register() -> None:
    for module in ("growth.classes", "ablations"):
        importlib.import_module(f"keras_grow.{module}")


class _AfterKeras(importlib.abc.MetaPathFinder):
    """An import finder that only notices when imports of these packages end.

    It registers after the outermost import, because until then none of the
    three may be complete, and then removes itself.
    """

    def __init__(self) -> None:
        self._depth = 0

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module as other finders do, and watch it being loaded."""
        if fullname not in ("keras", "keras_hub") and not fullname.startswith(
            "keras_grow."
        ):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path)
            if spec and spec.loader:
                self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: importlib.abc.Loader) -> None:
        load = loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            self._depth += 1
            try:
                load(module)
            finally:
                self._depth -= 1
            if self._depth == 0 and "keras" in sys.modules:
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                _register()

        loader.exec_module = exec_module  # type: ignore[method-assign]
