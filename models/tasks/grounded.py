"""Questions answered from a context given in the prompt, and questions whose answer is not there."""

from __future__ import annotations

from models.chat import Message, Sample, assistant, system, user
from models.draw import Draw
from models.tasks.dossier import dossier
from models.tasks.facts import FACTS, Fact, fact
from models.tasks.handbook import handbook

UNKNOWN = "I don't know based on the context."

PROMPTS = [
    "Context: {c}\nQuestion: {q}", "Context:\n{c}\n\nQuestion: {q}",
    "Use the context to answer.\n\nContext: {c}\n\nQuestion: {q}",
    "Answer from the context only.\n{c}\n\n{q}", "{q}\n\nContext: {c}", "Context: {c}\n\n{q}",
    "Context: {c}\nQuestion: {q}\nAnswer:", "Here is some text:\n{c}\n\nQuestion: {q}",
    "Answer the question from these passages.\n\n{c}\n\nQuestion: {q}", "Read this: {c}\nThen answer: {q}",
]
SYSTEM_PROMPTS = [
    "Answer from the context.\nContext: {c}", "Use only this context to answer: {c}",
    "Answer the user's question from the context below.\n\n{c}", "You are a helpful assistant. Context: {c}",
    "Relevant passages:\n{c}",
]


def _passages(draw: Draw, sentences: list[str]) -> str:
    """The sentences as prose, as a list or as numbered search results."""
    style = draw.random.random()
    if style < 0.6 or (len(sentences) == 1 and style < 0.85):
        return " ".join(sentences)
    if style < 0.75:
        return "\n".join(sentences)
    if style < 0.88:
        return "\n".join(f"- {sentence}" for sentence in sentences)
    return "\n".join(f"[{i}] {sentence}" for i, sentence in enumerate(sentences, 1))


def _facts(draw: Draw, count: int) -> list[Fact]:
    facts = [handbook(draw) if draw.chance(0.3) else fact(draw) for _ in range(count)]
    if count > 1 and draw.chance(0.25):  # the same relation twice: the name decides, not the relation
        make = draw.one(FACTS)
        facts[:2] = [make(draw), make(draw)]
        draw.random.shuffle(facts)
    return facts


def _without_answer(draw: Draw, facts: list[Fact]) -> str:
    """A question that shares words with the context but has no answer in it."""
    text = " ".join(f.sentence for f in facts)
    while True:
        if draw.chance(0.3):
            question, answer = draw.one(handbook(draw).questions)
        elif draw.chance(0.5):
            question, answer = draw.one(fact(draw).questions)
        else:  # an entity of the context, another relation; or a relation of the context, another entity
            other, known = fact(draw), draw.one(facts)
            (question, answer), (asked, _) = draw.one(other.questions), draw.one(known.questions)
            question = _swap_name(question, asked)
        if answer not in text and question not in [q for f in facts for q, _ in f.questions]:
            return question


def _swap_name(question: str, source: str) -> str:
    """`question` with its first capitalised name replaced by that of `source`, where both have one."""
    ours, theirs = _first_name(question), _first_name(source)
    return question.replace(ours, theirs) if ours and theirs else question


def _first_name(text: str) -> str:
    """The first run of capitalised words after the sentence's own first word."""
    run: list[str] = []
    for word in text.split()[1:]:
        bare = word.strip("?.:,")
        if bare[:1].isupper() or (run and bare.isdigit()):
            run.append(bare)
        elif run:
            break
    return " ".join(run)


def _question(draw: Draw, facts: list[Fact], left_open: list[str]) -> tuple[str, str]:
    """A question about the facts and its answer, or now and then one that they do not answer."""
    if not draw.chance(0.18):
        return draw.one(facts).ask(draw)
    asked = draw.one(left_open) if left_open and draw.chance(0.7) else _without_answer(draw, facts)
    return asked, UNKNOWN


def grounded(draw: Draw) -> Sample:
    """One to `draw.most_facts` facts and one to four questions: each further question is a cheap lesson."""
    crowded, left_open = draw.most_facts >= 5 and draw.chance(0.06), list[str]()
    if not crowded and draw.chance(0.35):
        facts, left_open = dossier(draw, draw.integer(1, draw.most_facts))
    else:
        facts = _facts(draw, draw.integer(6, 12) if crowded else draw.integer(1, draw.most_facts))
    context = _passages(draw, [f.sentence for f in facts])
    question, answer = _question(draw, facts, left_open)
    task = "absent" if answer == UNKNOWN else "grounded"
    messages: list[Message]
    if draw.chance(0.7):
        messages = [user(draw.phrase(PROMPTS).format(c=context, q=question))]
    else:
        messages = [system(draw.phrase(SYSTEM_PROMPTS).format(c=context)), user(question)]
    messages.append(assistant(answer))
    for _ in range(draw.one([0, 0, 0, 1, 1, 2, 3, 3])):
        again, answer = _question(draw, facts, left_open)
        messages += [user(again), assistant(answer)]
    return Sample(task, messages)
