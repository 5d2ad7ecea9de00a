# mypy: disable-error-code="import-not-found, no-untyped-call"
"""Train the tutorial model on this machine's CPU: `python -m models.train --minutes 52`.

Everything is drawn from a seed. The schedule follows the wall clock, so a slower machine sees fewer tokens in
the same time. A run is resumed from its folder by giving the same command again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from models.batches import ANSWER, Batch, Batches, Encoder
from models.chat import render
from models.draw import Draw
from models.induction import wire_copying
from models.network import Llama, Shape, linear
from models.tasks import sample
from models.tokenizer import train_tokenizer

RUN = Path("models/runs/tutorial")
PRECISIONS = {"bf16": torch.bfloat16, "f32": torch.float32}
CHECKPOINT, TOKENIZER, CONFIG = "checkpoint.pt", "tokenizer.json", "config.json"
CORPUS = 30_000  # conversations the tokenizer learns from
DRILLS = 80  # steps of pure copying at the start; after that one step in DRILL_EVERY
DRILL_EVERY = 16
WARMUP = 100  # steps to the full learning rate
DECAY_FROM = 0.45  # share of the time after which the learning rate falls, linearly, to LAST
LAST = 0.02
OTHER_TOKENS = 0.15  # share of the prompt's tokens whose prediction is trained at a step


@dataclass
class Settings:
    """What a run is told on the command line."""

    out: Path
    minutes: float
    tokens: int
    rate: float
    seed: int
    save_seconds: float = 120
    precision: str = "bf16"


@dataclass
class Progress:
    """Where a run stands; written with every checkpoint."""

    step: int = 0
    tokens: int = 0
    conversations: int = 0
    seconds: float = 0.0
    loss: float = 0.0


def share_of_rate(progress: Progress, settings: Settings) -> float:
    """Factor on the learning rate: warm up, hold, fall."""
    done = progress.seconds / (settings.minutes * 60)
    falling = 1.0 if done < DECAY_FROM else max(LAST, (1 - done) / (1 - DECAY_FROM))
    return min(1.0, (progress.step + 1) / WARMUP) * falling


def crowding(done: float) -> int:
    """How many facts a context may hold at this share of the time: copying first, choosing later."""
    return 1 if done < 0.04 else 2 if done < 0.1 else 3 if done < 0.25 else 5


def batch_loss(model: Llama, batch: Batch, precision: torch.dtype) -> tuple[Tensor, float]:
    """The weighted loss to descend, and the mean loss over the assistant's tokens alone (nats)."""
    states = model.hidden(batch.ids[:, :-1], precision).reshape(-1, model.shape.width)
    targets, weights = batch.ids[:, 1:].reshape(-1), batch.weights[:, 1:].reshape(-1)
    answers = weights >= ANSWER / 2
    kept = (answers | ((weights > 0) & (torch.rand(weights.shape) < OTHER_TOKENS))).nonzero()[:, 0]
    logits = linear(states[kept], model.token_embd.weight).float()
    losses = F.cross_entropy(logits, targets[kept], reduction="none")
    weights, answers = weights[kept], answers[kept]
    return (losses * weights).sum() / weights.sum(), float(losses.detach()[answers].mean())


def load_tokenizer(settings: Settings) -> Tokenizer:
    """The run's tokenizer, learned from the generator's own text the first time."""
    path = settings.out / TOKENIZER
    if not path.exists():
        draw = Draw(settings.seed + 1)
        texts = (render(item.messages, item.tools) for item in (sample(draw) for _ in range(CORPUS)))
        train_tokenizer(texts, Shape().vocab).save(str(path))
    return Tokenizer.from_file(str(path))


def optimizer_for(model: Llama, rate: float) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.97), eps=1e-9, fused=True)


def save(settings: Settings, model: Llama, optimizer: torch.optim.AdamW, progress: Progress) -> None:
    """Write the checkpoint beside the old one and swap, so that an interrupted write loses nothing."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "progress": asdict(progress)}
    fresh = settings.out / (CHECKPOINT + ".new")
    torch.save(state, fresh)
    fresh.replace(settings.out / CHECKPOINT)


def start(settings: Settings) -> tuple[Llama, torch.optim.AdamW, Progress]:
    """A wired model, or the one the run's folder holds."""
    torch.manual_seed(settings.seed)
    model, progress = Llama(Shape()), Progress()
    wire_copying(model, settings.seed)
    optimizer = optimizer_for(model, settings.rate)
    path = settings.out / CHECKPOINT
    if path.exists():
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        progress = Progress(**state["progress"])
    (settings.out / CONFIG).write_text(json.dumps(asdict(model.shape)))
    return model, optimizer, progress


def train(settings: Settings) -> Progress:
    """Run until the minutes are used up; returns where it ended."""
    settings.out.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(settings)
    model, optimizer, progress = start(settings)
    draw = Draw(settings.seed + 2 + progress.step)
    batches = Batches(draw, Encoder(tokenizer))
    began, saved = time.monotonic() - progress.seconds, progress.seconds
    while progress.seconds < settings.minutes * 60:
        draw.most_facts = crowding(progress.seconds / (settings.minutes * 60))
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * share_of_rate(progress, settings)
        drill = progress.step < DRILLS or progress.step % DRILL_EVERY == 0
        batch = batches.copying(settings.tokens) if drill else batches.chat(settings.tokens)
        loss, answers = batch_loss(model, batch, PRECISIONS[settings.precision])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        note(progress, batch, answers, drill)
        progress.seconds = time.monotonic() - began
        if progress.step % 50 == 0:
            print(
                f"{progress.seconds:6.0f} s  step {progress.step}  {progress.tokens / 1e6:.2f}M tokens  "
                f"{progress.conversations} conversations  loss {progress.loss:.4f}",
                flush=True,
            )
        if progress.seconds - saved > settings.save_seconds:
            save(settings, model, optimizer, progress)
            saved = progress.seconds
    save(settings, model, optimizer, progress)
    return progress


def note(progress: Progress, batch: Batch, answers: float, drill: bool) -> None:
    """Count a step; the loss shown is a running mean over chat batches."""
    progress.step += 1
    progress.tokens += batch.ids.numel()
    if not drill:
        progress.conversations += batch.ids.shape[0]
        progress.loss = answers if progress.loss == 0 else 0.98 * progress.loss + 0.02 * answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RUN)
    parser.add_argument("--minutes", type=float, default=52)
    parser.add_argument("--tokens", type=int, default=3072, help="tokens in a batch")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-seconds", type=float, default=120)
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="bf16", help="of the activations")
    given = vars(parser.parse_args())
    torch.set_num_threads(given.pop("threads"))
    print(train(Settings(**given)))


if __name__ == "__main__":
    main()
