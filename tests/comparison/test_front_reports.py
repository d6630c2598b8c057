"""The reports of `examples/front` against the rows beside them."""

import numpy as np
import pytest
from front_modules import front_modules

pytestmark = pytest.mark.no_backend


@pytest.fixture(scope="module")
def modules():
    return front_modules("report", "results")


@pytest.mark.parametrize("task", ["captions", "science"])
def test_a_report_is_what_the_rows_give(modules, task):
    report, results = modules
    name, title, gains = report.TASKS[task]
    folder = results.RESULTS / name
    written = (folder / "report.md").read_text("utf-8")
    assert report.report(results.Front(folder), title, gains) == written


def test_routed_scores_are_those_of_the_model_that_each_row_reaches(modules):
    data = modules[1].Front(modules[1].RESULTS / "front")
    run = data.best("g_freeze")[1]
    for name, reached in (("validation", 493), ("wikitext", 0)):
        goes = data.routes[name]
        assert goes.sum() == reached
        tokens, base = data.base[f"{name}_tokens"], data.base[f"{name}_nll"][0]
        grown = run[f"{name}_nll"][-1]
        mean = (grown[goes].sum() + base[~goes].sum()) / tokens.sum()
        plain, drawn = data.routed(run, name)
        if name == "wikitext":
            assert plain == 0.0
            assert not np.any(drawn)
        else:
            assert plain == pytest.approx(mean)
            assert np.std(drawn) > 0.01
