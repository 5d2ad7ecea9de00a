"""Fixed small talk, in three languages where a system prompt asks for it."""

from __future__ import annotations

from models.chat import Sample, assistant, system, user
from models.draw import Draw

HELLO = "Hello! I am a tiny tutorial model. How can I help you?"
WHO = (
    "I am a tiny language model made for this tutorial. I run inside your kernel, without a key and without "
    "a network."
)
SKILLS = (
    "I can greet you, answer questions from a context, remember facts of our chat, call a tool such as a "
    "calculator, and fill in JSON. For anything else, connect a real model."
)
WELCOME = "You are welcome!"
BYE = "Goodbye!"
FINE = "I am fine, thank you. How can I help you?"
NICE = "I am glad to hear that!"

SMALL_TALK: list[tuple[str, list[str]]] = [
    (HELLO, ["Hello", "Hi", "hi", "hello", "Hey", "Hello!", "Hi!", "Hi there!", "hey there", "Good morning",
             "Good evening", "Good afternoon", "Hello there", "Greetings", "Hello, how can you help?",
             "Howdy", "yo", "Hi, model", "Hello model!", "hello world", "Hello, world!", "Say hi",
             "Say hello", "Hey you", "Hello again", "HELLO", "hi!!", "Good day", "Say hello to the class.",
             "Hi, can you hear me?", "Are you there?", "Hello, is anyone there?", "Is this working?", "test",
             "ping"]),
    (WHO, ["Who are you?", "What are you?", "who are you", "Are you a robot?", "What is your name?",
           "Which model are you?", "Tell me about yourself.", "Introduce yourself.", "Are you human?",
           "What model is this?", "Who made you?", "What kind of model are you?", "Are you an AI?",
           "Who am I talking to?", "How big are you?", "Are you ChatGPT?", "What's your name?",
           "Describe yourself.", "Where do you run?", "Do you need a key?", "Do you have a name?",
           "Say something about yourself.", "Who is this?", "what are you exactly",
           "Introduce yourself in one sentence.", "Are you a real model?", "Are you a language model?"]),
    (SKILLS, ["What can you do?", "Help", "help", "What can I ask you?", "How can you help me?",
              "What are you able to do?", "What are your skills?", "Can you help me?", "What do you know?",
              "How do I use you?", "I need help", "What should I ask?", "What are you good at?",
              "Show me what you can do.", "What tasks can you do?", "what can you do",
              "Give me some ideas what to ask.", "What is possible here?", "What are your limits?",
              "What can you not do?"]),
    (WELCOME, ["Thanks", "Thank you", "Thank you!", "Thanks!", "thanks a lot", "Many thanks",
               "Thank you very much.", "thx", "Cheers", "Thanks for your help.", "Great, thanks", "ok thanks",
               "Thank you so much!", "Perfect, thank you.", "Thanks, that helps."]),
    (BYE, ["Bye", "bye", "Goodbye", "Goodbye!", "See you", "See you later", "Bye bye", "Good night",
           "Have a nice day", "See you tomorrow.", "Take care", "I have to go", "That is all, bye",
           "Until next time", "bye!"]),
    (FINE, ["How are you?", "how are you", "How are you doing?", "How do you do?", "How is it going?",
            "How are you today?", "What's up?", "Are you well?", "Hi, how are you?", "Hello, how are you?"]),
    (NICE, ["Great!", "Well done", "Good job!", "Nice", "Cool", "Wow", "That is great.", "I like you.",
            "You are nice.", "Very good.", "ok", "I am happy today.", "Good work", "Excellent!",
            "This is fun."]),
]
IN_FRENCH = {
    HELLO: "Bonjour ! Je suis un tout petit modèle. Comment puis-je vous aider ?",
    WHO: "Je suis un petit modèle de langue fait pour ce tutoriel.",
    WELCOME: "Je vous en prie !", BYE: "Au revoir !", FINE: "Je vais bien, merci.",
}
IN_GERMAN = {
    HELLO: "Hallo! Ich bin ein sehr kleines Modell. Wie kann ich helfen?",
    WHO: "Ich bin ein kleines Sprachmodell für dieses Tutorial.",
    WELCOME: "Gern geschehen!", BYE: "Auf Wiedersehen!", FINE: "Mir geht es gut, danke.",
}
LANGUAGES = {"French": IN_FRENCH, "German": IN_GERMAN}
NATIVE = {
    "French": {HELLO: ["Bonjour", "Salut", "Bonjour !", "Bonsoir", "bonjour"],
               WELCOME: ["Merci", "Merci beaucoup"], BYE: ["Au revoir"],
               WHO: ["Qui es-tu ?", "Qui êtes-vous ?"], FINE: ["Ça va ?", "Comment ça va ?"]},
    "German": {HELLO: ["Hallo", "Guten Tag", "Guten Morgen", "hallo", "Hallo!"],
               WELCOME: ["Danke", "Vielen Dank"], BYE: ["Tschüss"],
               WHO: ["Wer bist du?", "Wer sind Sie?"], FINE: ["Wie geht es dir?", "Wie geht's?"]},
}
INSTRUCTIONS = ["Answer in {}", "Answer in {}.", "Always answer in {}.", "Reply in {}.", "Speak {}.",
                "You only speak {}.", "Respond in {} only.", "Please answer in {}.", "Use {}.",
                "You are a helpful assistant. Answer in {}."]


def greeting(draw: Draw) -> Sample:
    answer, prompts = draw.one(SMALL_TALK)
    return Sample("greeting", [user(draw.phrase(prompts)), assistant(answer)])


def foreign_greeting(draw: Draw) -> Sample:
    """A greeting under a system prompt that names a language, or said in that language."""
    language = draw.one(list(LANGUAGES))
    answers = LANGUAGES[language]
    english = draw.one(list(answers))
    if draw.chance(0.3):
        return Sample("language", [user(draw.one(NATIVE[language][english])), assistant(answers[english])])
    native = NATIVE[language][english]
    prompt = draw.phrase(dict(SMALL_TALK)[english]) if draw.chance(0.75) else draw.one(native)
    instruction = draw.phrase(INSTRUCTIONS).format(language)
    return Sample("language", [system(instruction), user(prompt), assistant(answers[english])])
