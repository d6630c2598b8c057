"""A lock for each backbone: what computes with it, one thread at a time.

Which slices a layer computes stands on the layer, where every thread finds it.
"""

import threading
from typing import Any
from weakref import WeakKeyDictionary

_LOCKS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_FINDING = threading.Lock()


def lock_of(backbone: Any) -> Any:
    """The lock of a backbone, which one thread may take several times."""
    # Beside the backbone, not on it: a lock cannot be copied or pickled.
    with _FINDING:
        return _LOCKS.setdefault(backbone, threading.RLock())
