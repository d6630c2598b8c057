"""What a benchmark runs on: machine, memory, separate processes."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    "keras",
    "keras-hub",
    "jax",
    "tensorflow",
    "torch",
    "transformers",
    "peft",
    "lm-eval",
    "numpy",
)
MARK = "RESULT "
LOADED = "LOADED"


def describe():
    """The machine and the versions, as plain values."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def run_alone(script, arguments, backend, device="cpu"):
    """The result that a script prints, run in a separate process."""
    return result_of(start_alone(script, arguments, backend, device))


def start_alone(script, arguments, backend, device="cpu"):
    """A separate process that runs a script."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    # A cache would hide what compiling takes.
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    if device == "cpu":
        environment |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def await_turn():
    """In the separate process: all is loaded, wait until it may go on."""
    print(LOADED, flush=True)
    if not sys.stdin.readline():
        raise SystemExit("The process that started this one has ended.")


def until_loaded(process):
    """Wait until a process is in `await_turn`, or has ended."""
    for line in process.stdout:
        if line.strip() == LOADED:
            return


def result_of(process):
    """Let a process go on; what it prints, or None where it waits again."""
    try:
        process.stdin.write("go on\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # It has ended; the exit status says how.
    result = None
    for line in process.stdout:
        if line.strip() == LOADED:
            return None
        if line.startswith(MARK):
            result = json.loads(line.removeprefix(MARK))
            break
    process.communicate()
    if process.returncode or result is None:
        return {"failed": f"failed: exit status {process.returncode}"}
    return result


def in_turns(processes):
    """The results of processes that wait for a turn again and again.

    One goes on while the others wait. If one fails, the others are ended.
    """
    for process in processes:
        until_loaded(process)
    results = [None for _ in processes]
    while None in results:
        for index, process in enumerate(processes):
            if results[index] is None:
                results[index] = result_of(process)
            if results[index] and "failed" in results[index]:
                for each in processes:
                    each.kill()
                return [found or results[index] for found in results]
    return results


def resident_gb(peak=False):
    """Memory of this process, now or at its highest, as Linux counts it."""
    # `getrusage` would count what the parent held before this program began.
    field = "VmHWM:" if peak else "VmRSS:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e9
    raise RuntimeError(f"Expected {field} in /proc/self/status.")


def forget_peak():
    """Let `resident_gb(peak=True)` start again from what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def device_gb(backend):
    """Peak memory of the first accelerator, or None on a CPU."""
    if backend == "jax":
        import jax

        stats = jax.devices()[0].memory_stats()
        return stats["peak_bytes_in_use"] / 1e9 if stats else None
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 1e9
        return None
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    return None


def device_name(backend):
    """What the first accelerator calls itself, or None on a CPU."""
    if device_gb(backend) is None:
        return None
    if backend == "jax":
        import jax

        return jax.devices()[0].device_kind
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name()
    import tensorflow as tf

    card = tf.config.list_physical_devices("GPU")[0]
    return tf.config.experimental.get_device_details(card)["device_name"]


def _processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
