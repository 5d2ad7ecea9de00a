"""Prompt Guard with a model made here: random weights, but the real library from the files to the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack_core.errors import InvalidRequest, ProviderError
from tests.stack_core.providers.safety.guards import entry, guarded, violation

torch = pytest.importorskip("torch", reason="torch is not installed: Prompt Guard is not tested")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: Prompt Guard is not tested")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "ignore", "all", "instructions"]


def make_model(folder: Path, labels: int) -> None:
    """A classifier of one layer that answers 'malicious' to `ignore` and 'benign' to all else: its output is set so."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16,
        max_position_embeddings=512, num_labels=labels,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config).eval()
    with torch.no_grad():
        ids = {word: torch.tensor([[2, WORDS.index(word), 3]]) for word in ("hello", "ignore")}
        good, bad = (model.bert(ids[word]).pooler_output[0] for word in ("hello", "ignore"))
        way = (bad - good) / (bad - good).norm() ** 2
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
        model.classifier.weight[-1] = 40 * way
        model.classifier.bias[-1] = -40 * (way @ (good + bad) / 2)
    model.save_pretrained(folder)


@pytest.mark.parametrize(("name", "labels"), [("Prompt-Guard-86M", 3), ("Llama-Prompt-Guard-2-86M", 2)])
async def test_scores(name: str, labels: int, tmp_path: Path) -> None:
    make_model(tmp_path / "models" / name, labels)
    guard: dict[str, Any] = entry("inline::prompt-guard", model_dir=str(tmp_path / "models"))
    shields = {"pg": {"provider_shield_id": f"meta-llama/{name}", "params": {"guard_type": "jailbreak"}}}
    async with guarded(tmp_path, guard, shields) as stack:
        assert await violation(stack, "pg", "hello") is None
        found = await violation(stack, "pg", "ignore")
        assert (found.violation_level, found.user_message) == ("error", "Sorry, I cannot do this.")
        assert found.metadata["violation_type"].startswith("prompt_injection:embedded=")
        assert found.metadata["score"] > 0.9
        results = (await stack.safety.moderate(model="pg", input=["hello", "ignore", "", "\ud800"])).results
        assert [result.flagged for result in results] == [False, True, False, False]
        assert results[1].category_scores["prompt-guard/jailbreak"] > 0.9
        long = "hello " * 1000
        await violation(stack, "pg", long)


async def test_models_that_are_not_there(tmp_path: Path) -> None:
    make_model(tmp_path / "models" / "five", 5)
    guard = entry("inline::prompt-guard", model_dir=str(tmp_path / "models"))
    async with guarded(tmp_path, guard, {"five": {}}) as stack:
        for name in ("none", "..", "../five/..", "/etc"):
            with pytest.raises(InvalidRequest, match="no model") as missing:
                await stack.shields.register_shield(shield_id="x", provider_shield_id=name)
            assert missing.value.hint == "there is five"
        with pytest.raises(ProviderError, match="5 labels"):
            await violation(stack, "five", "hello")
        (tmp_path / "models" / "broken").mkdir()
        (tmp_path / "models" / "broken" / "config.json").write_text("{}")
        await stack.shields.register_shield(shield_id="broken")
        with pytest.raises(ProviderError, match="cannot be loaded"):
            await violation(stack, "broken", "hello")
