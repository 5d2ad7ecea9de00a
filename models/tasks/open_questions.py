"""Everything a real model is needed for: the tiny model says so instead of inventing an answer."""

from __future__ import annotations

import string

from models import names
from models.chat import Sample, assistant, user
from models.draw import Draw, words
from models.tasks.facts import fact
from models.tasks.handbook import handbook

NEEDS_REAL_MODEL = (
    "That needs a real model: I am only a tiny tutorial model. Connect Ollama, a GGUF file or an API key, "
    "and ask again."
)
TOPICS = words(
    "quantum physics,photosynthesis,gravity,black holes,democracy,inflation,the French Revolution,"
    "the moon,dinosaurs,DNA,evolution,machine learning,neural networks,Python,recursion,a linked list,"
    "sorting,databases,SQL,regular expressions,the internet,climate change,volcanoes,earthquakes,"
    "the human heart,vaccines,bacteria,probability,Bayes' theorem,linear regression,calculus,"
    "prime numbers,the Pythagorean theorem,derivatives,integrals,matrices,entropy,thermodynamics,"
    "electricity,magnets,lasers,batteries,solar panels,wind power,nuclear energy,oceans,rivers,rain,"
    "clouds,snow,autumn,winter,summer,spring,love,friendship,happiness,time,death,freedom,justice,"
    "philosophy,Plato,Einstein,Newton,Darwin,Shakespeare,Mozart,Beethoven,jazz,football,chess,tennis,"
    "the Olympics,cooking,bread,coffee,tea,wine,chocolate,cats,dogs,bees,whales,elephants,trees,roses,"
    "Paris,Rome,Oslo,Berlin,Japan,China,India,Brazil,Africa,the Roman Empire,World War II,the Cold War,"
    "the stock market,taxes,insurance,contracts,marketing,transformers,attention,gradient descent,"
    "overfitting,a binary tree,git,Docker,Linux,JavaScript,Rust,encryption,blockchain,robots,cars,"
    "trains,ships,planes,rockets,Mars,stars,galaxies,atoms,water,salt,gold,iron,glass,paper,books,"
    "poetry,painting,the Mona Lisa,pyramids,castles,kings,pirates,dragons,ghosts,dreams,sleep,memory",
    ",",
)
ASKS = [
    "Explain {t}.", "What is {t}?", "Explain {t} to a child.", "Explain {t} in three bullets.",
    "Tell me about {t}.", "Write a poem about {t}.", "Write a story about {t}.", "Who invented {t}?",
    "Why is {t} important?", "How does {t} work?", "Summarise {t} in one sentence.", "Compare {t} and {u}.",
    "What is the difference between {t} and {u}?", "Give one counter-example to {t}.",
    "List five facts about {t}.", "What do you think about {t}?", "Give me an example of {t}.",
    "Write an essay about {t}.", "Where does {t} come from?", "When did {t} begin?",
    "How many kinds of {t} are there?", "Is {t} better than {u}?", "Should I learn {t}?",
    "What are the benefits of {t}?", "Tell me a joke about {t}.", "Make a table of {t} and {u}.",
    "Plan a lesson about {t}.", "What is the history of {t}?", "Why do people like {t}?",
    "Can you explain {t}?", "Describe {t}.", "Define {t}.", "Write a haiku about {t}", "What causes {t}?",
    "Write Python code for {t}.", "How do I start with {t}?", "Give me tips for {t}.",
    "Which book about {t} is the best?", "Translate {t} into French.", "Is {t} dangerous?",
    "How are {t} and {u} related?", "explain {t}", "what is {t}", "tell me more about {t}", "{t}", "{t}?",
    "Give three reasons for {t}.", "Ask me a question about {t}.", "What would happen without {t}?",
    "Write a letter about {t}.", "And {t}?", "What about {t}?", "Describe {t} for a first-year student.",
    "Name one use of {t}.", "Why?", "And in winter?", "Tell me more.", "Go on.", "Are you sure?",
    "Explain that again.", "What is next?", "Compare {t} and {u} for March.",
    "Give one counter-example to the claim that all {t} are {u}.", "Prove that {t} exists.",
    "Rewrite this in simple words: {t} is like {u}.", "Pros and cons of {t}", "How old is {t}?",
    "How big is {t}?", "Who was the first to study {t}?", "What does {t} mean?", "How is {t} made?",
    "Rank {t} against {u}.", "Tell me a joke.", "Tell me a story.", "Write a poem.", "Write a song.",
    "What is the meaning of life?", "Who won the match?", "What is in the news?", "What time is it?",
    "What day is it today?", "Write a function that sorts a list.", "Fix this code: print({t}",
    "Write a unit test.", "What is 1 mile in metres?", "Recommend a film.", "What is the capital of {p}?",
    "Capital of {p}? One word.", "What is the population of {p}?", "Who is the president of {p}?",
    "How far is {p} from here?", "What can I do in {p}?", "Plan a trip to {p}.",
    "What is the weather in {p}?", "Where is {p}?", "Which language is spoken in {p}?",
    "When was {p} founded?", "How is the weather in {p} in {t}?", "Best time to visit {p}?", "Who is {n}?",
    "When was {n} born?", "What did {n} write?", "Is {n} famous?", "What did {n} say about {t}?",
    "What is the best food in {p}?", "Translate 'good morning' into Spanish.",
    "How do you say {t} in German?", "Correct my grammar: I has {t}.", "What rhymes with {w}?",
]
PASTE_ASKS = ["Explain this frame in three bullets: {x}", "Summarise this: {x}",
              "What does this code do?\n{x}", "Explain this:\n\n{x}", "Describe this frame: {x}",
              "Translate into French: {x}", "Write a summary.\n\n{x}", "What do you think of this?\n{x}",
              "Rewrite politely: {x}", "Find the error: {x}", "Explain the numbers.\n{x}",
              "Give one counter-example to {x}", "What is the trend here?\n{x}", "Is this true? {x}",
              "Improve this text: {x}", "Compare these: {x}", "Classify the sentiment: {x}",
              "Make a plan from this: {x}", "Shorten this text: {x}", "What follows from this? {x}"]


def _frame(draw: Draw) -> str:
    """A printed data frame, such as `df.describe()` shows."""
    columns = [names.word(draw).lower() for _ in range(draw.integer(1, 4))]
    lines = ["    ".join(["     ", *columns])]
    for row in draw.one([["count", "mean", "std", "min", "25%", "50%", "75%", "max"], ["0", "1", "2", "3"],
                         ["mean", "std"]]):
        lines.append("  ".join([row,
                                *(f"{draw.random.uniform(0, 999):.{draw.integer(1, 4)}f}" for _ in columns)]))
    return "\n".join(lines)


def _noise(draw: Draw) -> str:
    """Words in no order, or letters that are no words."""
    if draw.chance(0.5):
        return " ".join(draw.one(draw.one(TOPICS).split()) for _ in range(draw.integer(1, 6)))
    return " ".join("".join(draw.one(string.ascii_lowercase) for _ in range(draw.integer(2,
        7))) for _ in range(draw.integer(1, 5)))


def open_question(draw: Draw) -> Sample:
    """A knowledge question, a task on pasted text, a fact asked for without its context, or noise."""
    kind = draw.random.random()
    if kind < 0.62:
        topics = draw.several(TOPICS, 2)
        if draw.chance(0.15):
            topics[0] = names.word(draw)
        text = draw.phrase(ASKS).format(t=topics[0], u=topics[1], p=names.place(draw), n=names.person(draw),
                                        w=names.word(draw).lower())
    elif kind < 0.78:
        pasted = draw.one([_frame, _frame, lambda d: fact(d).sentence, lambda d: handbook(d).sentence,
                           _noise])(draw)
        text = draw.phrase(PASTE_ASKS).format(x=pasted)
    elif kind < 0.93:
        source = fact(draw) if draw.chance(0.7) else handbook(draw)
        text = draw.one(source.questions)[0]
    else:
        text = _noise(draw)
    return Sample("open question", [user(text), assistant(NEEDS_REAL_MODEL)])
