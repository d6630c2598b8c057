"""The process that trains: `python -m keras_grow.app.train_worker FOLDER`.

It outlives the app that started it: what happens goes to a file, and a file
is what asks it to end.
"""

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Ended
from keras_grow.comparison.events import Event
from keras_grow.comparison.events import Failed
from keras_grow.comparison.plan import Plan
from keras_grow.quiet_start import quiet_start

from .training_folders import EVENTS_FILE
from .training_folders import STOP_FILE
from .training_folders import at_work


def train(folder: Path, say: Callable[[Event], None]) -> None:
    """Run the comparison of one method that the folder holds the plan of."""
    with quiet_start():
        from keras_grow.comparison import run_method
        from keras_grow.comparison import write_report
    ends: list[Event] = []

    def on_event(event: Event) -> None:
        # The end is told of when the report is there, too.
        (ends.append if isinstance(event, Ended) else say)(event)

    ((method, seed),) = Plan.load(folder).runs
    stop = folder / STOP_FILE
    run_method(folder, method, seed, on_event=on_event, should_stop=stop.exists)
    (end,) = ends
    if isinstance(end, Ended) and end.step:
        write_report(folder)
    say(end)


def main() -> None:
    """Train in the folder that the command line names."""
    folder = Path(sys.argv[1])
    with (
        at_work(folder),
        (folder / EVENTS_FILE).open("a", encoding="utf-8") as file,
    ):

        def say(event: Event) -> None:
            file.write(f"{time.time():.3f} {event.to_json()}\n")
            file.flush()

        say(Begun("load"))
        try:
            train(folder, say)
        except Exception as error:  # The page says it, whatever it is.
            traceback.print_exc()
            say(Failed(str(error)))
            raise SystemExit(1) from error


if __name__ == "__main__":
    main()
