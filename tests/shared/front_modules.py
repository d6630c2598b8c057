"""The modules of `examples/front`, which import one another by their names."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "front"


def front_modules(*names):
    """Import modules by name, with their folder on the path."""
    sys.path.insert(0, str(FOLDER))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(FOLDER))
