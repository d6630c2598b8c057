"""What JAX spends on each of the thousands of tiny programs of a test run."""

import threading

# What an MLIR context holds on to, such as constants, is freed with it.
PROGRAMS = 200


def share_contexts() -> None:
    """Let JAX lower many programs in one MLIR context, one for each thread.

    JAX makes a context for every program, which takes longer than to lower the
    operations of a tiny one. The programs are the same.
    """
    from jax._src.interpreters import mlir

    make = mlir.make_ir_context
    own = threading.local()

    def shared():
        left = getattr(own, "left", 0)
        if not left:
            own.context, left = make(), PROGRAMS
        own.left = left - 1
        return own.context

    mlir.make_ir_context = shared
