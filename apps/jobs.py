"""Who has asked, who is before them, and who wants to stop."""

import threading
from dataclasses import dataclass
from dataclasses import field


@dataclass
class _Job:
    visitor: str
    stopped: threading.Event = field(default_factory=threading.Event)
    begun: bool = False


class Jobs:
    """The prompts that wait for their turn or have it, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: list[_Job] = []

    def begin(self, visitor: str) -> None:
        """Put a visitor's prompt at the end of the queue."""
        with self._lock:
            self._jobs.append(_Job(visitor))

    def take(self, visitor: str) -> threading.Event:
        """Begin the visitor's oldest prompt that waits.

        Returns:
            What is set when the visitor stops.
        """
        with self._lock:
            for job in self._jobs:
                if job.visitor == visitor and not job.begun:
                    break
            else:
                job = _Job(visitor)
                self._jobs.append(job)
            job.begun = True
            return job.stopped

    def stop(self, visitor: str) -> None:
        """End a visitor's prompts, whether they have their turn or wait."""
        with self._lock:
            for job in self._jobs:
                if job.visitor == visitor:
                    job.stopped.set()

    def end(self, visitor: str) -> None:
        """Forget the prompt of a visitor that has had its turn."""
        self._drop(visitor, begun=True)

    def leave(self, visitor: str) -> None:
        """Forget what waits of a visitor who is gone; stop what runs."""
        self.stop(visitor)
        self._drop(visitor, begun=False)

    def before(self, visitor: str) -> int | None:
        """How many prompts come first, or None for a visitor without one."""
        with self._lock:
            names = [job.visitor for job in self._jobs]
        return names.index(visitor) if visitor in names else None

    def _drop(self, visitor: str, begun: bool) -> None:
        with self._lock:
            self._jobs = [
                job
                for job in self._jobs
                if (job.visitor, job.begun) != (visitor, begun)
            ]
