"""Seconds that the slowest test files may take, per backend.

Measured with two workers on two cores, and half as much again. Nothing fails
over them: `tests/conftest.py` names the files that took longer at the end of
a run, and starts the longest first.
"""

BUDGETS = {"jax": {}, "torch": {}, "tensorflow": {}}
# A file without a budget of its own.
REST = 10.0


def budget(backend: str, file: str) -> float:
    """Seconds that `file`, a path from the root, may take."""
    return BUDGETS[backend].get(file, REST)


def over_budget(
    backend: str, seconds: dict[str, float]
) -> list[tuple[str, float, float]]:
    """Files that took longer than their budget: name, seconds, budget."""
    return sorted(
        (
            (file, took, budget(backend, file))
            for file, took in seconds.items()
            if took > budget(backend, file)
        ),
        key=lambda row: row[2] - row[1],
    )
