"""What visitors do, for the browser tests."""

import json

import tiny_run

# Generous: this waits for what has to happen, however busy the machine.
PATIENCE_MS = 240_000


def says(page, element, *words):
    """Wait until an element's text holds one of these; return the text."""
    page.wait_for_function(
        "([id, words]) => words.some(word => "
        "document.getElementById(id)?.innerText.includes(word))",
        arg=[element, list(words)],
    )
    return page.locator(f"#{element}").inner_text()


def write_rows(path, count=20, response=" fox"):
    """Rows to learn from, none twice, as a file of JSON lines."""
    words = tiny_run.WORDS
    rows = [
        {"prompt": f"the {words[n % 9]} {words[n // 9]}", "response": response}
        for n in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def upload(page, path):
    """Choose a file of rows on the Train tab, in place of another."""
    page.get_by_role("tab", name="Train").click()
    clear = page.locator("#upload").get_by_label("Clear")
    if clear.count():
        clear.click()
        says(page, "upload-check", "No file yet")
    page.set_input_files("#upload input[type=file]", str(path))


def ask(page, prompt, button="ask"):
    """Ask all models, or those of another button.

    What stands under earlier answers is taken away, so that nobody who waits
    for the new ones is satisfied with it.
    """
    page.locator("#prompt textarea").fill(prompt)
    notes = "note" if button == "ask" else button.replace("ask", "note")
    page.evaluate(
        "start => document.querySelectorAll(`[id^='${start}'] .kg-note`)"
        ".forEach(note => { note.textContent = ''; })",
        notes,
    )
    page.locator(f"#{button}").click()


def settings(page, length=24):
    """Open the settings and choose a length."""
    page.locator("#settings button").first.click()
    page.wait_for_timeout(500)  # What is opened is filled in a little later.
    page.locator("#length input[type=number]").fill(str(length))
    page.locator("#length input[type=number]").press("Tab")


def answers(page, panes=("base", "tuned", "grown")):
    """Texts of the panes by these names, once all of them are scored."""
    for index in range(len(panes)):
        says(page, f"note-{index}", "Drift")
    return {name: text_of(page, index) for index, name in enumerate(panes)}


def text_of(page, index):
    """The answer in a pane."""
    answer = page.locator(f"#answer-{index} .kg-text")
    return answer.last.text_content() if answer.count() else ""
