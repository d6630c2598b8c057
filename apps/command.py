"""`keras-grow app`: serve the page, which does not wait for Keras."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_MAX_UPLOAD = "4gb"  # A growth file; rows have a limit of their own.
_MAX_WAITING = 200


def add_parser(subparsers: "Subparsers") -> None:
    """Add `app` to the commands.

    Args:
        subparsers: what `ArgumentParser.add_subparsers` returned.
    """
    parser = subparsers.add_parser(
        "app",
        help="compare base, fine-tuned and grown model in the browser",
        description="Serves a page on this machine alone, unless --host says "
        "otherwise.",
    )
    parser.add_argument(
        "target",
        metavar="RUN_OR_MODEL",
        help="folder of a comparison, or a preset, GGUF or model folder",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve; 0.0.0.0 for every network this machine is in "
        "(default: %(default)s, this machine alone)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=7860,
        help="port to serve (default: %(default)s)",
    )
    parser.add_argument(
        "--folder",
        default="runs/app",
        help="where the runs that are trained on the page go "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--login",
        metavar="FILE",
        help="ask for a login: a file with a line NAME:PASSWORD for each "
        "visitor",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted.

    Args:
        options: what `add_parser` describes.
    """
    logins = _logins(options.login)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # What was compiled once need not be compiled at the next start.
    cache = Path.home() / ".cache" / "keras_grow" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    try:
        from . import page
    except ImportError as error:
        raise ImportError(
            f"Expected Gradio. Received: {error}. "
            "Install it: pip install 'keras-grow[app]'"
        ) from error
    from .models import Models
    from .runs import Runs
    from .training import Trainer

    runs = Runs.of(options.target, options.folder)
    models = Models(runs)
    trainer = Trainer(runs.made, runs.model, runs.dtype)
    blocks = page.build(runs, models, trainer)
    blocks.queue(max_size=_MAX_WAITING, default_concurrency_limit=4)
    _, url, _ = blocks.launch(
        server_name=options.host,
        server_port=options.port,
        auth=logins,
        max_file_size=_MAX_UPLOAD,
        theme=page.THEME,
        css=page.CSS,
        head=page.HEAD,
        footer_links=[],
        share=False,
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    # After the server, which answers first.
    models.start()
    print(f"Open {url} (Ctrl+C ends)", flush=True)
    blocks.block_thread()


def _logins(file: str | None) -> list[tuple[str, str]] | None:
    """Names and passwords of a file, or None for a page without login."""
    if file is None:
        return None
    lines = Path(file).read_text("utf-8").splitlines()
    pairs = [line.partition(":") for line in lines if line.strip()]
    if not pairs or not all(name and word for name, _, word in pairs):
        raise ValueError(
            "Expected a file with a line NAME:PASSWORD for each visitor. "
            f"Received: --login {file}"
        )
    return [(name, word) for name, _, word in pairs]
