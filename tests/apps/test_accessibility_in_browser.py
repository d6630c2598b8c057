"""What axe-core, and a reader of screens, find on every tab."""

import shutil
import subprocess
import tarfile
from itertools import pairwise

import pytest
from browsing import answers
from browsing import ask
from browsing import says
from browsing import upload
from browsing import write_rows

pytest_plugins = ["serving"]
pytestmark = pytest.mark.no_backend
TABS = ("Compare", "See", "Train", "Take away")
VERSION = "4.14.1"
SERIOUS = ("serious", "critical")
# What Gradio calls its buttons, whichever field they belong to.
SMALL = ("Copy", "Clear", "Reset to default value")


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core, from the npm registry, or why it is not here."""
    folder = tmp_path_factory.mktemp("axe")
    if shutil.which("npm") is None:
        pytest.skip("no npm on the path, which fetches axe-core")
    words = ["npm", "pack", f"axe-core@{VERSION}", "--prefer-offline"]
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not fetch axe-core within a minute")
    if done.returncode:
        pytest.skip(f"npm could not fetch axe-core: {done.stderr[-200:]}")
    with tarfile.open(folder / f"axe-core-{VERSION}.tgz") as archive:
        source = archive.extractfile("package/axe.min.js")
        return source.read().decode()


@pytest.fixture
def unfolded(app, visit):
    """The page with everything unfolded."""
    page = visit(app)
    for folded in page.locator("button.label-wrap:visible").all():
        folded.click()
    return page


def show(page, tab):
    """Open a tab, and wait for what stands last on it."""
    page.get_by_role("tab", name=tab).click()
    if tab == "See":
        says(page, "see-analyses", "Rank map")
    if tab == "Take away":
        says(page, "take-files", "Download")
    page.wait_for_timeout(400)  # Until the names are given.


def found(page):
    """What axe-core finds that is serious or worse, a line each."""
    result = page.evaluate("axe.run(document)")
    assert len(result["passes"]) > 10
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in result["violations"]
        for node in each["nodes"]
        if each["impact"] in SERIOUS
    ]


def test_axe_finds_nothing_serious_on_any_tab_in_light_and_dark(
    axe, unfolded, tmp_path
):
    page = unfolded
    page.evaluate(axe)
    # The lines under tabs, behind which axe-core sees no background.
    lines = "[role=tablist]::after, [role=tab]::after"
    page.add_style_tag(
        content=f"{lines} {{ display: none !important; }}"
        "*, ::before, ::after { transition: none !important; }"
    )
    ask(page, "the quick")
    assert all(answers(page).values())
    page.get_by_role("button", name="Copy Base answer", exact=True).wait_for()
    for tab in TABS:
        show(page, tab)
        check(page, tab)
        if tab == "Train":
            upload(page, write_rows(tmp_path / "rows.jsonl"))
            says(page, "upload-check", "20 rows")
            check(page, "Train, with a file")


def check(page, tab):
    """Look at a tab in both themes."""
    for theme in ("light", "dark"):
        page.evaluate(
            "dark => document.body.classList.toggle('dark', dark)",
            theme == "dark",
        )
        # What fades has another contrast; what is endless cannot be finished.
        page.evaluate(
            "document.getAnimations().forEach(fading => {"
            "try { fading.finish(); } catch { } })"
        )
        assert found(page) == [], (tab, theme)


def test_headings_are_in_order_and_buttons_have_names_and_size(unfolded):
    for tab in TABS:
        show(unfolded, tab)
        levels = unfolded.evaluate(
            "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]"
            ".filter(each => each.checkVisibility())"
            ".map(each => +each.tagName[1])"
        )
        assert levels[0] == 1, tab
        assert all(b <= a + 1 for a, b in pairwise(levels)), (tab, levels)
        # Without the row that Gradio measures the tabs by.
        buttons = unfolded.get_by_role("button").all()
        names = [
            (each.get_attribute("aria-label") or each.inner_text()).strip()
            for each in buttons
        ]
        assert all(names), tab
        small = [name for name in names if name.startswith(SMALL)]
        assert len(set(small)) == len(small), (tab, small)
        assert not set(small) & set(SMALL), (tab, small)
        for name, each in zip(names, buttons, strict=True):
            box = each.bounding_box()
            assert min(box["width"], box["height"]) >= 24, (tab, name, box)
        if tab == "Compare":
            assert "Copy Model 1 answer" in names
