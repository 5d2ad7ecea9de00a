# mypy: disable-error-code="import-not-found"
"""The whole path in under two minutes, `python -m models.smoke`: generate, train briefly, export, compare."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from models.engine import Engine
from models.export import export
from models.parity import Reference, compare
from models.train import Settings, train


def smoke(folder: Path, seconds: float) -> bool:
    """Whether a model trained for `seconds` survives the path unchanged; what it says is still nonsense."""
    progress = train(Settings(folder, seconds / 60, tokens=2048, rate=3e-3, seed=0))
    print(progress)
    path = folder / "smoke.gguf"
    export(folder, path, "q8_0")
    report = compare(Reference.load(folder), path, "q8_0", count=10)
    print(report)
    with Engine(path) as engine:
        print(engine.message({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}))
    return report.faithful  # nothing is learned yet, so greedy answers hang by a hair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if smoke(Path(folder), given.seconds) else 1)


if __name__ == "__main__":
    main()
