"""The text the model sees: chat template and tokenizer."""

from __future__ import annotations

import pytest

from models.chat import call, openai_messages, render, system, tool_result, user
from models.draw import Draw
from models.tasks import sample
from models.tokenizer import CONTROL, VISIBLE, token_id, train_tokenizer

CALCULATOR = {
    "type": "function",
    "function": {"name": "calculator", "description": "Do math.", "parameters": {}},
}


@pytest.fixture(scope="module")
def tokenizer():
    draw = Draw(3)
    texts = [render(item.messages, item.tools) for item in (sample(draw) for _ in range(500))]
    return train_tokenizer(texts, 700)


def test_a_plain_prompt():
    assert render([user("Hello")], prompt=True) == ("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")


def test_tools_join_the_system_message():
    text = render([system("Be brief."), user("Hi")], [CALCULATOR])
    assert text.startswith('<|im_start|>system\nBe brief.\n<tools>\n{"name": "calculator"')
    assert text.count("<|im_start|>system") == 1


def test_a_call_and_its_result():
    messages = [user("2 + 2"), call("calculator", {"expression": "2 + 2"}), tool_result("4")]
    text = render(messages, [CALCULATOR])
    assert '<tool_call>\n{"name": "calculator", "arguments": {"expression": "2 + 2"}}\n</tool_call>' in text
    assert "<|im_start|>tool\n4<|im_end|>" in text


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": None}, user("Hi")],
        [{"role": "user", "content": None}],
        [user("Hi"), {"role": "assistant", "content": None}, user("Hi")],
        [user("Hi"), {"role": "assistant"}, user("Hi")],
        [],
    ],
    ids=["system", "user", "assistant", "absent", "none"],
)
def test_missing_content_is_an_empty_turn(messages):
    assert "None" not in render(messages, prompt=True)


def test_openai_messages_carry_ids_and_json_text():
    call_message, result = openai_messages([call("calculator", {"expression": "1"}), tool_result("1")])
    assert call_message["tool_calls"][0]["function"]["arguments"] == '{"expression": "1"}'
    assert result["tool_call_id"] == call_message["tool_calls"][0]["id"]


def test_a_name_is_spelled_alike_wherever_it_stands(tokenizer):
    def pieces(text):
        return tokenizer.encode(text, add_special_tokens=False).tokens

    alone, after_space, quoted = pieces("Zorvan"), pieces("in Zorvan"), pieces('"Zorvan')
    assert after_space[-len(alone) :] == alone
    assert quoted[-len(alone) :] == alone


def test_digits_stand_alone(tokenizer):
    assert tokenizer.encode("1987", add_special_tokens=False).tokens == ["1", "9", "8", "7"]


@pytest.mark.parametrize("mark", CONTROL + VISIBLE)
def test_marks_are_one_token(tokenizer, mark):
    assert tokenizer.encode(mark, add_special_tokens=False).ids == [token_id(tokenizer, mark)]


@pytest.mark.parametrize("text", ["naïve café 東京 🙂", " a  b\n\n\tc ", '{"a": [1, 2.5]}', "<tool_call>x</tool_call>"])
def test_text_survives_the_round_trip(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
