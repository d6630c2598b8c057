"""`keras-grow app`: serve the page, which does not wait for Keras."""

import argparse
import os
import shutil
import socket
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_MAX_UPLOAD = "4gb"  # A growth file; rows have a limit of their own.
_MAX_WAITING = 200
_KEPT_SECONDS = 86400


def add_parser(subparsers: "Subparsers") -> None:
    """Add `app` to the commands."""
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
        "visitor. Passwords are in plain text there: use none that you use "
        "elsewhere, and let nobody else read the file (chmod 600 FILE)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    logins = _logins(options.login)
    _check_target(options.target)
    _check_port(options.host, options.port)
    uploads = _uploads(Path(options.folder))
    os.environ.setdefault("GRADIO_TEMP_DIR", os.fspath(uploads))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # What was compiled once need not be compiled at the next start.
    cache = Path.home() / ".cache" / "keras_grow" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    try:
        from . import downloads
        from . import page
        from . import see_tab
        from . import take_away_tab
    except ImportError as error:
        raise ImportError(
            f"Expected the packages of the app. Received: {error}. "
            "Install them in a clone of keras_grow: `pip install '.[app]'`."
        ) from error
    from .models import Models
    from .quick_gradio import let_rest
    from .runs import Runs
    from .trainer import Trainer

    runs = Runs.of(options.target, options.folder)
    models = Models(runs)
    trainer = Trainer(runs.made, runs.model, runs.dtype)
    blocks = page.build(runs, models, trainer)
    blocks.queue(max_size=_MAX_WAITING, default_concurrency_limit=4)
    let_rest(blocks)
    served, url, _ = blocks.launch(
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
    kinds = {"model": take_away_tab.find, "run": see_tab.find}
    downloads.serve(
        served, {kind: partial(find, runs) for kind, find in kinds.items()}
    )
    # After the server, which answers first.
    models.start()
    print(f"Open {url} (Ctrl+C ends)", flush=True)
    blocks.block_thread()


def _uploads(folder: Path) -> Path:
    """The folder of uploads, without those that earlier visitors left."""
    uploads = (folder / "uploads").resolve()
    try:
        uploads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=uploads):
            pass
    except OSError as error:
        raise OSError(
            "Expected a folder that can be written, for what is trained and "
            f"uploaded on the page. Received: --folder {folder} ({error}). "
            "Name another one with --folder."
        ) from error
    for left in uploads.iterdir():
        if time.time() - left.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    return uploads


def _check_target(target: str) -> None:
    """Refuse what is a path, and not the name of a preset, to nothing."""
    is_path = "/" in target or "\\" in target or target.endswith(".gguf")
    if is_path and "://" not in target and not Path(target).exists():
        raise ValueError(
            "Expected the folder of a comparison, a model's folder or GGUF "
            f"file, or the name of a preset. Received: {target!r}, which does "
            "not exist. `make demo` and `keras-grow compare` make a folder."
        )


def _check_port(host: str, port: int) -> None:
    """Refuse a port that another program serves."""
    if not 0 < port < 65536:
        raise ValueError(
            f"Expected a port from 1 to 65535. Received: --port {port}"
        )
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            # As the server itself: a port that has just been left is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise OSError(
            "Expected an address of this machine and a free port. Received: "
            f"--host {host} --port {port} ({error.strerror}). Another program "
            "may serve it, perhaps this app already: open it, end it, or name "
            "another one with --port."
        ) from error


def _logins(file: str | None) -> list[tuple[str, str]] | None:
    """Names and passwords of a file, or None for a page without login."""
    if file is None:
        return None
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = f"{_LOGINS} Received: --login {file} ({error})"
        raise ValueError(said) from error
    pairs = [line.partition(":") for line in lines if line.strip()]
    if not pairs or not all(name and word for name, _, word in pairs):
        raise ValueError(f"{_LOGINS} Received: --login {file}")
    return [(name, word) for name, _, word in pairs]


_LOGINS = (
    "Expected a text file with a line NAME:PASSWORD for each visitor, in UTF-8."
)
