"""Which base model a growth file was made on."""

from pathlib import Path

from keras_grow.comparison.layout import PLAN_FILE


def base_of_growth(
    growth: Path, model: str | None = None, dtype: str | None = None
) -> tuple[str, str]:
    """Model and dtype of the base: as given, or as planned."""
    from keras_grow.comparison import Plan

    if model is not None:
        return model, dtype or "float32"
    # The folders of its run and of the comparison.
    for folder in growth.resolve().parents[:2]:
        if (folder / PLAN_FILE).exists():
            plan = Plan.load(folder)
            return plan.model, dtype or plan.dtype
    raise ValueError(
        "Expected --model, the base that the growth was made on, or a "
        f"{PLAN_FILE} that names it. Received: {growth}, with no {PLAN_FILE} "
        "beside it or one folder above. Add --model."
    )
