"""What visitors do, for the browser tests."""

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


def ask(page, prompt):
    """Ask all three models."""
    page.get_by_label("Prompt").fill(prompt)
    page.locator("#ask").click()


def answers(page):
    """Texts of the three panes, once all of them are scored."""
    for pane in ("base", "tuned", "grown"):
        says(page, f"note-{pane}", "Drift")
    return {
        pane: page.locator(f"#answer-{pane} textarea").input_value()
        for pane in ("base", "tuned", "grown")
    }
