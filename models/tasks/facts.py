"""Small facts about invented entities, each with questions and the short answer to each question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from models import names
from models.draw import Draw, words

JOBS = words(
    "baker nurse pilot teacher painter lawyer plumber chemist dancer farmer doctor engineer cook "
    "writer driver gardener designer librarian mathematician scientist artist "
    "singer actor manager student programmer physicist"
)
ANIMALS = words("cat dog parrot horse rabbit turtle goat ferret hamster fish")
COLOURS = words("red blue green yellow purple orange black white silver pink brown grey gold")
FOODS = words("pizza soup rice bread pasta cheese chocolate apples noodles salad curry honey")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words("January February March April May June July August September October November December")
GOODS = words(
    "rooms books horses ships pens apples seats coins plates people eggs stones cards cars trees "
    "students workers members tools beds"
)
ATTRIBUTES = words(
    "population,mayor,currency,language,anthem,motto,height,weight,price,colour,owner,director,manager,"
    "captain,coach,president,inventor,architect,material,age,serial number,room number,phone number,"
    "licence,version,speed,temperature,depth,area,budget,deadline,birthplace,nickname,favourite food,"
    "password,email,address,project,supervisor,model,size,rating,score,status,department,leader,editor,"
    "sponsor,symbol,flag,port,harbour",
    ",",
)


SHORTLY = ["One word.", "Just the answer.", "Short answer.", "Answer in one word.",
           "Only the answer, please."]


@dataclass
class Fact:
    """A sentence, its (question, answer) pairs, and the bare value for the answers that have one."""

    sentence: str
    questions: list[tuple[str, str]]
    values: dict[str, str] = field(default_factory=dict)

    def ask(self, draw: Draw) -> tuple[str, str]:
        """A question and its answer; now and then the bare value is asked for."""
        question, answer = draw.one(self.questions)
        if answer in self.values and draw.chance(0.2):
            return f"{question} {draw.phrase(SHORTLY)}", self.values[answer]
        return question, answer


def answered(sentence: str, *questions: tuple[str, str, str]) -> Fact:
    """From (question, answer, bare value) triples."""
    return Fact(sentence, [(q, a) for q, a, _ in questions], {a: value for _, a, value in questions})


def founding(d: Draw) -> Fact:
    c, p, y = names.firm(d), names.person(d), names.year(d)
    who = d.phrase(["Who founded {}?", "Who is the founder of {}?", "Who started {}?",
                    "By whom was {} founded?", "Name the founder of {}."]).format(c)
    when = d.phrase(["When was {} founded?", "In which year was {} founded?", "What year was {} started?",
                     "Which year did {} begin?", "In what year was {} founded?"]).format(c)
    sentence = d.one([f"{c} was founded by {p} in {y}.", f"In {y}, {p} founded {c}.",
                      f"{p} founded {c} in {y}."])
    return answered(sentence, (who, f"{c} was founded by {p}.", p), (when, f"{c} was founded in {y}.", y))


def headquarters(d: Draw) -> Fact:
    c, place = names.firm(d), names.place(d)
    where = d.phrase(["Where are the headquarters of {}?", "Where is {} based?",
                      "Where is the head office of {}?", "In which city is {}?",
                      "Where does {} have its headquarters?"]).format(c)
    sentence = d.one([f"The headquarters of {c} are in {place}.", f"{c} is based in {place}.",
                      f"{c} has its head office in {place}."])
    return answered(sentence, (where, f"{c} is based in {place}.", place))


def capital(d: Draw) -> Fact:
    country, city = names.place(d), names.place(d)
    ask = d.phrase(["What is the capital of {}?", "Which city is the capital of {}?",
                    "Name the capital of {}.", "{}: what is its capital?", "What's the capital of {}?",
                    "Capital of {}?", "The capital of {}?", "Tell me the capital of {}.",
                    "What city is the capital of {}?"]).format(country)
    sentence = d.one([f"The capital of {country} is {city}.", f"{city} is the capital of {country}."])
    return answered(sentence, (ask, f"The capital of {country} is {city}.", city))


def book(d: Draw) -> Fact:
    p, title, y = names.person(d), names.thing(d), names.year(d)
    who = d.phrase(["Who wrote {}?", "Who is the author of {}?", "Who wrote the book {}?",
                    "Name the author of {}.", "By whom was {} written?"]).format(title)
    when = d.phrase(["When was {} written?", "In which year was {} written?", "What year was {} published?",
                     "In what year did {} appear?", "When was the book {} published?"]).format(title)
    verb = d.one(["wrote", "published"])
    sentence = d.one([f"{p} {verb} the book {title} in {y}.", f"The book {title} was written by {p} in {y}."])
    return answered(sentence, (who, f"{title} was written by {p}.", p),
                 (when, f"{title} was written in {y}.", y))


def job(d: Draw) -> Fact:
    p, work, place = names.person(d), d.one(JOBS), names.place(d)
    what = d.phrase(["What is the job of {}?", "What does {} do?", "What does {} do for a living?",
                     "What is the profession of {}?", "Which job does {} have?"]).format(p)
    where = d.phrase(["Where does {} work?", "In which city does {} work?", "Where is {} working?",
                      "In what place does {} work?", "Where is the job of {}?"]).format(p)
    sentence = f"{p} works as a {work} in {place}."
    return answered(sentence, (what, f"{p} works as a {work}.", work),
                    (where, f"{p} works in {place}.", place))


def pet(d: Draw) -> Fact:
    p, colour, animal, pet_name = names.person(d), d.one(COLOURS), d.one(ANIMALS), names.word(d)
    name = d.phrase(["What is the name of the {1} of {0}?", "What is {0}'s {1} called?",
                     "How is the {1} of {0} called?", "What is the {1} of {0} named?",
                     "What is the name of {0}'s {1}?"]).format(p, animal)
    hue = d.phrase(["What color is the {1} of {0}?", "What colour is {0}'s {1}?",
                    "Which colour is the {1} of {0}?", "What is the colour of the {1} of {0}?",
                    "Which color does {0}'s {1} have?"]).format(p,
                        animal)
    return answered(f"{p} has a {colour} {animal} named {pet_name}.",
                 (name, f"The {animal} is named {pet_name}.", pet_name),
                 (hue, f"The {animal} is {colour}.", colour))


def cost(d: Draw) -> Fact:
    item, n = names.thing(d), names.count(d)
    ask = d.phrase(["How much does the {} cost?", "What is the price of the {}?", "How expensive is the {}?",
                    "What does the {} cost?", "How much is the {}?"]).format(item)
    unit = d.one(["dollars", "euros", "pounds"])
    return answered(f"The {item} costs {n} {unit}.", (ask, f"The {item} costs {n} {unit}.", f"{n} {unit}"))


def length(d: Draw) -> Fact:
    river, n = names.word(d), names.count(d)
    kind, adjective, unit = d.one([("river", "long", "miles"), ("tower", "tall", "metres"),
                                   ("lake", "deep", "metres"),
                                   ("mountain", "high", "metres"), ("bridge", "long", "metres"),
                                   ("road", "wide", "feet")])
    ask = d.phrase(["How {2} is the {1} {0}?", "How {2} is {0}?", "How many {3} {2} is the {1} {0}?",
                    "Tell me how {2} the {1} {0} is.", "How {2} is the {0} {1}?"]).format(river, kind,
                        adjective, unit)
    sentence = f"The {kind} {river} is {n} {unit} {adjective}."
    return answered(sentence, (ask, sentence, f"{n} {unit}"))


def maker(d: Draw) -> Fact:
    c, item, place = names.firm(d), names.thing(d), names.place(d)
    who = d.phrase(["Who makes the {}?", "Which company makes the {}?", "Who builds the {}?",
                    "Who is the maker of the {}?", "By whom is the {} made?"]).format(item)
    where = d.phrase(["Where is the {} made?", "Where is the {} built?", "In which place is the {} made?",
                      "In what city is the {} made?", "Where do they make the {}?"]).format(item)
    sentence = f"{c} makes the {item} in {place}."
    return answered(sentence, (who, f"The {item} is made by {c}.", c),
                 (where, f"The {item} is made in {place}.", place))


def _colour(d: Draw) -> str:
    return d.one(COLOURS)


def attribute(d: Draw) -> Fact:
    owner = d.one([names.firm, names.person, names.place, names.thing, named])(d)
    trait = d.one(ATTRIBUTES)
    value = d.one([names.person, names.place, names.thing, names.count, names.word,
                   _colour])(d)
    ask = d.phrase(["What is the {1} of {0}?", "Which {1} does {0} have?", "Tell me the {1} of {0}.",
                    "What's the {1} of {0}?", "{0}: what is the {1}?", "Give me the {1} of {0}.",
                    "What is {0}'s {1}?", "Find the {1} of {0}.", "Do you know the {1} of {0}?",
                    "Please state the {1} of {0}."]).format(owner, trait)
    sentence = d.one([f"The {trait} of {owner} is {value}.", f"{owner}'s {trait} is {value}."])
    return answered(sentence, (ask, f"The {trait} of {owner} is {value}.", value))


NOUNS = words(
    "observatory museum bridge tower castle ship engine garden school temple palace station theatre "
    "hospital factory park statue film song play machine telescope satellite clock painting cathedral "
    "harbour stadium hotel library school map robot rocket train road dam lighthouse mine farm mill "
    "market airport festival prize club team company newspaper magazine programme project language "
    "game recipe theory island valley crater comet star planet village forest cave tunnel canal"
)
# Past tense and participle, where they differ.
VERBS = words(
    "built designed painted opened bought sold closed discovered invented repaired destroyed visited "
    "studied described named planned managed ruled won lost found led planted filmed recorded "
    "translated published launched tested cleaned rescued measured founded created restored explored "
    "photographed sponsored directed owned stole/stolen drew/drawn wrote/written began/begun "
    "chose/chosen saw/seen"
)
PLACED = ["stands", "lies", "is"]


ADJECTIVES = words(
    "old new first last red blue green white black small big great famous secret wooden golden hidden lost "
    "modern ancient quiet fast tall northern southern royal public private second third best"
)


def named(d: Draw) -> str:
    """A thing with or without a name: `the old bridge`, `the Zorvan Bridge`, `the bridge of Zorvan`, ..."""
    noun, name = d.one(NOUNS), names.word(d)
    return d.one([
        f"the {noun}", f"the {d.one(ADJECTIVES)} {noun}", f"the {d.one(ADJECTIVES)} {noun} of {name}",
        f"the {name} {noun}", f"the {name} {noun}", f"the {name} {noun.capitalize()}", f"the {noun} {name}",
        f"the {noun} of {name}",
    ])


def event(d: Draw) -> Fact:
    """Somebody did something to a thing, at a time or a place."""
    thing, person = named(d), d.one([names.person, names.firm, names.first_name])(d)
    past, _, participle = d.one(VERBS).partition("/")
    participle, dated = participle or past, d.chance(0.6)
    circumstance = names.year(d) if dated else names.place(d)
    sentence = d.one([f"{person} {past} {thing} in {circumstance}.",
                      f"{start(thing)} was {participle} by {person} in {circumstance}.",
                      f"{start(thing)} was {participle} in {circumstance} by {person}.",
                      f"In {circumstance}, {person} {past} {thing}."])
    who = d.phrase(["Who {0} {2}?", "By whom was {2} {1}?", "Who was it that {0} {2}?",
                    "Tell me who {0} {2}.", "Name who {0} {2}."])
    when = d.phrase(["When was {2} {1}?", "In which year was {2} {1}?", "What year was {2} {1}?",
                     "Tell me when {2} was {1}.", "In what year was {2} {1}?"])
    where = d.phrase(["Where was {2} {1}?", "In which place was {2} {1}?", "Tell me where {2} was {1}.",
                      "In what city was {2} {1}?", "At which place was {2} {1}?"])
    slots = (past, participle, thing)
    return answered(sentence, (who.format(*slots), f"{start(thing)} was {participle} by {person}.", person),
                 ((when if dated else where).format(*slots),
                  f"{start(thing)} was {participle} in {circumstance}.", circumstance))


def situation(d: Draw) -> Fact:
    """Where a thing stands, sometimes said with a pronoun after another fact about it."""
    thing, place, verb = named(d), names.place(d), d.one(PLACED)
    ask = d.phrase(["Where is {}?", "Where does {} stand?", "Where can I find {}?", "In which place is {}?",
                    "In which city is {}?", "Tell me where {} is.", "Where does {} lie?",
                    "Where do I find {}?", "What is the place of {}?", "Where exactly is {}?"]).format(thing)
    answer = (ask, f"{start(thing)} {verb} in {place}.", place)
    if d.chance(0.5):
        return answered(f"{start(thing)} {verb} in {place}.", answer)
    person, past = names.person(d), d.one(VERBS).partition("/")
    participle = past[2] or past[0]
    who = (f"Who {past[0]} {thing}?", f"{start(thing)} was {participle} by {person}.", person)
    return answered(f"{start(thing)} was {participle} by {person}. It {verb} in {place}.", answer, who)


def quantity(d: Draw) -> Fact:
    """How many of something a thing or a firm has."""
    owner = d.one([named, names.firm, names.person])(d)
    goods, n, verb = d.one(GOODS), names.count(d), d.one(["has", "holds", "owns", "keeps", "sells"])
    base = {"has": "have"}.get(verb, verb[:-1])
    ask = d.phrase(["How many {0} does {1} {2}?", "What number of {0} does {1} {2}?",
                    "Tell me how many {0} {1} {3}.", "How many {0} are there?",
                    "Do you know how many {0} {1} {3}?"]).format(goods, owner, base, verb)
    sentence = f"{start(owner)} {verb} {n} {goods}."
    return answered(sentence, (ask, sentence, f"{n} {goods}"))


def relation(d: Draw) -> Fact:
    """Two named people or things and what ties them."""
    a, b = names.person(d), names.person(d)
    tie = d.one(["sister", "brother", "teacher", "neighbour", "friend", "boss", "doctor", "mother", "father",
                 "uncle", "student", "cousin"])
    ask = d.phrase(["Who is the {1} of {0}?", "Who is {0}'s {1}?", "Name the {1} of {0}.",
                    "Tell me who the {1} of {0} is.", "What is the name of the {1} of {0}?"])
    sentence = d.one([f"{b} is the {tie} of {a}.", f"The {tie} of {a} is {b}.", f"{a}'s {tie} is {b}."])
    return answered(sentence, (ask.format(a, tie), f"The {tie} of {a} is {b}.", b))


def start(text: str) -> str:
    return text[0].upper() + text[1:]


FACTS: list[Callable[[Draw], Fact]] = [founding, headquarters, capital, capital, book, job, pet, cost, length,
                                       maker, relation,
                                       attribute, attribute, event, event, event, situation, situation,
                                       quantity]


def fact(draw: Draw) -> Fact:
    return draw.one(FACTS)(draw)
