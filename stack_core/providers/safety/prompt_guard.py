"""Prompt Guard: a small classifier that tells instructions hidden in data from data. Runs in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.providers import ProviderId
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import InvalidRequest, ProviderError
from stack_core.providers._registry import provider
from stack_core.providers.safety._guard import Guard, Verdict, model_of
from stack_core.providers.safety._texts import text_of

WINDOW = 512
"""Tokens that the models look at together; a longer text is looked at in windows that overlap by half."""
AT_ONCE = 16
_DEFAULT_FOLDER = Path("~/.llama/checkpoints")


class PromptGuardConfig(BaseModel):
    """Fields of Llama Stack 0.3.5, and where the models are: nothing is downloaded."""

    model_config = ConfigDict(extra="forbid")
    guard_type: Literal["injection", "jailbreak"] = Field(
        "injection", description="What counts: instructions of any kind in data, or attempts to unbind the model."
    )
    model_dir: Path = Field(_DEFAULT_FOLDER, description="The folder that has each model in a folder of its own.")
    threshold: float = Field(0.9, gt=0, lt=1, description="The score from which on a text counts.")
    temperature: float = Field(1.0, gt=0, description="Above 1 the scores come closer together.")


class PromptGuardParams(Strict):
    """What a shield may say."""

    guard_type: Literal["injection", "jailbreak"] | None = Field(None, description="As in the provider's config.")
    threshold: float | None = Field(None, gt=0, lt=1, description="As in the provider's config.")


@provider("inline::prompt-guard", packages=("transformers", "torch"), extra="prompt-guard")
class PromptGuard(Guard[PromptGuardParams]):
    """Scores the last message; the shield goes by the model's folder (`Prompt-Guard-86M`,
    `Llama-Prompt-Guard-2-86M`)."""

    Config = PromptGuardConfig
    Params = PromptGuardParams

    def __init__(self, config: PromptGuardConfig, shields: Shields, provider_id: ProviderId) -> None:
        super().__init__(shields, str(provider_id))
        self._config = config
        self._loaded: dict[Path, tuple[Any, Any]] = {}
        self._lock = Lock()

    async def check_shield(self, shield: Shield) -> None:
        """Refuse a model that is not there."""
        await super().check_shield(shield)
        self._folder(shield)

    async def judge(self, shield: Shield, params: PromptGuardParams, messages: Sequence[Message]) -> Verdict | None:
        """The highest score of the last message's windows, if it is high enough."""
        text = text_of(messages[-1])
        if not text.strip():
            return None
        embedded, malicious = await asyncio.to_thread(self._scores, self._folder(shield), text)
        kind = params.guard_type or self._config.guard_type
        score = malicious if kind == "jailbreak" else min(1.0, embedded + malicious)
        if score < (params.threshold or self._config.threshold):
            return None
        metadata = {
            "violation_type": f"prompt_injection:embedded={embedded:.4f},malicious={malicious:.4f}",
            "score": score,
        }
        return Verdict("Sorry, I cannot do this.", metadata, {f"prompt-guard/{kind}": score})

    def _folder(self, shield: Shield) -> Path:
        """The folder of the shield's model, below the configured one and nowhere else."""
        name = Path(model_of(shield)).name
        folder = self._config.model_dir.expanduser()
        found = folder / name
        if name in ("", ".", "..") or not (found / "config.json").is_file():
            here = sorted(path.parent.name for path in folder.glob("*/config.json"))
            raise InvalidRequest(
                f"there is no model {name!r} in {folder}",
                f"there is {', '.join(here)}" if here else "put a Prompt Guard there, in a folder of its name",
            )
        return found

    def _scores(self, folder: Path, text: str) -> tuple[float, float]:
        """The highest scores for instructions in data, and for malicious ones."""
        import torch  # type: ignore[import-not-found,unused-ignore]  # an extra

        with self._lock:
            tokenizer, model = self._loaded.get(folder) or self._load(folder)
            rows = _windows(tokenizer, text)
            best = [0.0, 0.0]
            with torch.inference_mode():
                for start in range(0, len(rows), AT_ONCE):
                    batch = tokenizer.pad({"input_ids": rows[start : start + AT_ONCE]}, return_tensors="pt")
                    chances = torch.softmax(model(**batch).logits.float() / self._config.temperature, dim=-1)
                    for place, column in enumerate(_columns(chances.shape[-1])):
                        if column is not None:
                            best[place] = max(best[place], float(chances[:, column].max()))
        return best[0], best[1]

    def _load(self, folder: Path) -> tuple[Any, Any]:
        from transformers import (  # type: ignore[import-not-found,unused-ignore]  # an extra
            AutoModelForSequenceClassification,
            AutoTokenizer,
        )

        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                model = AutoModelForSequenceClassification.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True
                ).eval()
        except (OSError, ValueError) as error:
            raise ProviderError(
                f"{self.provider_id}: {folder.name} cannot be loaded: {error}",
                "its folder needs config.json, model.safetensors and the tokenizer's files",
                provider_id=self.provider_id,
            ) from error
        if model.config.num_labels not in (2, 3):
            raise ProviderError(
                f"{self.provider_id}: {folder.name} tells {model.config.num_labels} labels apart, not 2 or 3",
                "is it a Prompt Guard?",
                provider_id=self.provider_id,
            )
        self._loaded[folder] = tokenizer, model
        return tokenizer, model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bar that transformers draws for a file of a second."""
    from transformers.utils import logging  # type: ignore[import-not-found,unused-ignore]  # an extra

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _windows(tokenizer: Any, text: str) -> list[list[int]]:
    """The text's tokens in windows, each with the marks that the model wants around it."""
    found = tokenizer(text, truncation=True, max_length=WINDOW, stride=WINDOW // 2, return_overflowing_tokens=True)
    rows: list[list[int]] = found["input_ids"]
    return rows


def _columns(labels: int) -> tuple[int | None, int]:
    """Which outputs are (instructions in data, malicious): the first model tells three apart, the second two."""
    return (1, 2) if labels == 3 else (None, 1)
