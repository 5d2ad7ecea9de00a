"""The engine's own process: llama.cpp's HTTP server on a Unix socket, for as long as the process that started it lives.

Run as a script, never imported by the rest: importing `xllamacpp` loads native code that can abort the process, so it
happens here alone. The protocol is three lines: settings come as one line of JSON on stdin, one line of JSON on stdout
says that the model is ready (or why not), and the end of stdin means that it is time to go.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> None:
    """Ask Linux to send this signal when the thread that started us ends: a second line behind the end of stdin, which
    a forked copy of the parent could hold open. That thread is the one whose event loop uses the engine."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def load(settings: dict[str, Any]) -> Any:
    """Load the model and listen. Returns the server, which has to stay referenced.

    Raises:
        RuntimeError: llama.cpp refused the file; it says why on stderr.
    """
    import xllamacpp  # type: ignore[import-untyped]  # it has no stubs

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.n_ctx = settings["n_ctx"] * settings["n_parallel"]  # llama.cpp divides it among the slots
    params.n_parallel = settings["n_parallel"]
    params.n_gpu_layers = settings["n_gpu_layers"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["n_threads"]
    params.hostnames = [settings["socket"]]
    params.api_keys = [settings["key"]]
    params.ui = False
    params.fit_params = False  # what the settings say is meant
    params.cache_ram_mib = 64  # the default is 8 GiB
    params.verbosity = 1  # errors only
    if settings["embedding"]:
        params.embedding = True
        params.n_batch = params.n_ubatch = settings["n_ctx"]  # an encoder takes a text in one batch
    if settings["pooling"]:
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{settings['pooling']}")
    return xllamacpp.Server(params)


def warm_up(server: Any, settings: dict[str, Any]) -> None:
    """One token: the first call is slow, and a server destroyed before it may hang."""
    if settings["pooling"] == "RANK":
        server.handle_rerank({"query": "a", "documents": ["a"]})
    elif settings["embedding"]:
        server.handle_embeddings({"input": ["a"]})
    else:
        server.handle_completions({"prompt": "a", "max_tokens": 1})


def main() -> NoReturn:
    """Serve until stdin ends."""
    die_with_parent(signal.SIGKILL)  # loading holds the interpreter, so nothing gentler would work meanwhile
    say = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints goes to stderr
    settings = json.loads(sys.stdin.readline() or "null")
    if settings is None:
        os._exit(0)
    try:
        server = load(settings)
        warm_up(server, settings)
    except (RuntimeError, ImportError) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=say, flush=True)
        os._exit(1)

    def leave(*_: object) -> NoReturn:
        shutil.rmtree(settings["folder"], ignore_errors=True)
        os._exit(0)  # destroying the server waits for its streams

    signal.signal(signal.SIGTERM, leave)
    die_with_parent(signal.SIGTERM)
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps({"ready": True}), file=say, flush=True)
    sys.stdin.read()
    leave()


if __name__ == "__main__":
    main()
