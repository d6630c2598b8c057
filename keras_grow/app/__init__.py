"""The app, in a checkout: its modules lie in `apps/`."""

from pathlib import Path

# Installed, `apps/` is this folder: pyproject.toml puts it in its place.
__path__ = [str(Path(__file__).parents[2] / "apps")]
