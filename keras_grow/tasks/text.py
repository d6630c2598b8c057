"""Plain running text, for perplexity."""

import os
import re
from pathlib import Path

_HEADING = re.compile(r"^ = [^=].*[^=] = \s*$")
_JOINED = (
    (r"= (?==)|(?<==) (?==)", "="),
    (r" @([-,.])@ ", r"\1"),
    (r" ([,.;:!?%)\]}])", r"\1"),
    (r"([(\[{]) ", r"\1"),
    (r" (['\u2019](?:s|m|d|t|re|ve|ll)\b)", r"\1"),
    (r" n't\b", "n't"),
    (r"(?<=\w) '(?= )", "'"),
)


def wikitext_articles(path: str | os.PathLike[str]) -> list[str]:
    """Articles of a WikiText file, with its tokenization undone.

    WikiText puts spaces around punctuation and marks joined characters (` @-@
    `), unlike the text that language models are trained on. `<unk>` stays.

    Args:
        path: a file of WikiText-2 or WikiText-103, in UTF-8.

    Returns:
        One text per article.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it has no article headings.

    Example:
    ```python
    from keras_grow.evaluation import perplexity
    from keras_grow.tasks import wikitext_articles

    perplexity(lm, wikitext_articles("wiki.valid.tokens")).token_perplexity
    ```
    """
    articles: list[list[str]] = []
    for line in Path(path).read_text("utf-8").split("\n"):
        if _HEADING.match(line):
            articles.append([])
        if articles and line.strip():
            articles[-1].append(detokenize_wikitext(line.strip()))
    if not articles:
        raise ValueError(
            "Expected a WikiText file with headings like ' = Title = '. "
            f"Received: path={str(path)!r}"
        )
    return ["\n".join(lines) for lines in articles]


def detokenize_wikitext(text: str) -> str:
    """Undo the tokenization of WikiText in one or more lines."""
    # Quotation marks come in pairs within a line.
    text = re.sub(r'" ([^"\n]*?) "', r'"\1"', text)
    for pattern, replacement in _JOINED:
        text = re.sub(pattern, replacement, text)
    return text
