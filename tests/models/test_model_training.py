"""Network, batches and export; skipped where torch or gguf is not installed."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
gguf = pytest.importorskip("gguf", reason="export needs gguf")

from models.batches import ANSWER, Batches, Encoder  # noqa: E402
from models.chat import render  # noqa: E402
from models.draw import Draw  # noqa: E402
from models.export import Vocabulary, write  # noqa: E402
from models.induction import wire_copying  # noqa: E402
from models.network import Llama, Shape  # noqa: E402
from models.tasks import sample  # noqa: E402
from models.tokenizer import train_tokenizer  # noqa: E402
from models.train import batch_loss  # noqa: E402

SMALL = Shape(vocab=700, width=128, layers=2, heads=2, kv_heads=1, hidden=128)


@pytest.fixture(scope="module")
def batches():
    draw = Draw(3)
    texts = [render(item.messages, item.tools) for item in (sample(draw) for _ in range(500))]
    return Batches(draw, Encoder(train_tokenizer(texts, SMALL.vocab)))


def test_a_wired_model_copies_before_any_training(batches):
    model = Llama(SMALL)
    wire_copying(model)
    batch = batches.copying(2000, longest=20)
    guess = model(batch.ids[:, :-1]).argmax(-1)
    second_half = batch.weights[:, 1:] >= ANSWER / 2
    right = (guess == batch.ids[:, 1:])[second_half].float().mean()
    assert right > 0.7


def test_full_weight_lies_on_the_assistants_words(batches):
    batch = batches.chat(2000)
    tokenizer = batches.encoder.tokenizer
    for ids, weights in zip(batch.ids, batch.weights, strict=True):
        answered = tokenizer.decode(ids[weights == ANSWER].tolist(), skip_special_tokens=False)
        assert answered.endswith("<|im_end|>")
        assert "<|im_start|>" not in answered


def test_a_later_token_changes_nothing_before_it():
    model, ids = Llama(SMALL), torch.randint(0, SMALL.vocab, (1, 12))
    changed = ids.clone()
    changed[0, -1] = (ids[0, -1] + 1) % SMALL.vocab
    with torch.no_grad():
        assert torch.allclose(model(ids)[:, :-1], model(changed)[:, :-1], atol=1e-5)


def test_a_step_lowers_the_loss(batches):
    torch.manual_seed(0)
    model, batch = Llama(SMALL), batches.chat(1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before, _ = batch_loss(model, batch, torch.float32)
    before.backward()
    optimizer.step()
    assert batch_loss(model, batch, torch.float32)[0] < before


@pytest.mark.parametrize("kind", ["f32", "f16", "q8_0"])
def test_the_file_holds_shape_vocabulary_and_template(batches, tmp_path, kind):
    model, path = Llama(SMALL), tmp_path / "small.gguf"
    vocabulary = Vocabulary.of(json.loads(batches.encoder.tokenizer.to_str()))
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write(path, weights, vars(SMALL), vocabulary, kind)
    reader = gguf.GGUFReader(path)
    assert reader.get_field("general.architecture").contents() == "llama"
    assert reader.get_field("llama.context_length").contents() == SMALL.context
    assert len(reader.get_field("tokenizer.ggml.tokens").contents()) == SMALL.vocab
    assert "<tool_call>" in reader.get_field("tokenizer.chat_template").contents()
    assert {tensor.name for tensor in reader.tensors} == set(weights)
