"""Sentences as they stand in handbooks and help pages; the answer is the sentence that holds it."""

from __future__ import annotations

from models import names
from models.draw import Draw
from models.tasks.facts import COLOURS, DAYS, FOODS, MONTHS, Fact

# Slots: N number, M another number, D weekday, E another weekday, O month, P person, L place, F firm,
# C colour, W word, X food.
ENTRIES: list[tuple[str, list[str]]] = [
    ("Employees get {N} days of leave a year.", [
        "How many days of leave do employees get?", "How many days of leave?", "How much leave is there?",
    ]),
    ("The office opens at {N} and closes at {M}.", [
        "When does the office open?", "When does the office close?", "What are the office hours?",
    ]),
    ("Refunds are paid within {N} days.", ["How long does a refund take?", "When are refunds paid?",
                                           "When do I get my refund?"]),
    ("Shipping to {L} takes {N} days.", ["How long does shipping to {L} take?",
                                         "How many days does shipping take?"]),
    ("The warranty lasts {N} months.", ["How long is the warranty?",
                                        "How many months does the warranty last?"]),
    ("Parking is free on {D}.", ["When is parking free?", "On which day is parking free?",
                                 "When can I park for free?"]),
    ("Visitors must report to {P} at the front desk.", [
        "To whom must visitors report?", "Where do visitors report?", "Who receives visitors?",
    ]),
    ("The library is closed on {D}.", ["When is the library closed?", "On which day is the library closed?"]),
    ("The team meeting is every {D} at {N}.", [
        "When is the team meeting?", "At what time is the meeting?", "On which day is the meeting?",
    ]),
    ("The wifi password is {W}.", ["What is the wifi password?", "How do I get on the wifi?",
                                   "Tell me the wifi password."]),
    ("Report a fire to extension {N}.", ["How do I report a fire?", "Which extension do I call in a fire?"]),
    ("The cafeteria serves {X} on {D}.", ["What does the cafeteria serve on {D}?", "When is there {X}?",
                                          "When does the cafeteria serve {X}?"]),
    ("Travel costs are repaid up to {N} euros a day.", [
        "How much travel cost is repaid?", "Up to how much are travel costs repaid?",
    ]),
    ("New staff receive a laptop from {F}.", ["What do new staff receive?", "Who gives new staff a laptop?",
                                              "Where does the laptop come from?"]),
    ("Remote work is allowed {N} days a week.", [
        "How many days of remote work are allowed?", "Is remote work allowed?",
        "How often can I work remotely?",
    ]),
    ("Salaries are paid on day {N} of each month.", ["When are salaries paid?", "When do I get my salary?"]),
    ("The fire exit is behind the {C} door.", ["Where is the fire exit?", "What is behind the {C} door?"]),
    ("Sick notes go to {P}.", ["Who gets the sick note?", "Where do sick notes go?",
                               "To whom do I send a sick note?"]),
    ("The train to {L} leaves at {N}.", ["When does the train to {L} leave?",
                                         "At what time does the train leave?"]),
    ("Tickets cost {N} dollars for adults and {M} for children.",
     ["How much are tickets?", "What do tickets cost?", "How much is a ticket for children?"]),
    ("The museum shows works by {P}.", ["Whose works does the museum show?", "What does the museum show?"]),
    ("The course starts in {O} and has {N} lessons.", [
        "When does the course start?", "How many lessons does the course have?",
    ]),
    ("Homework is due on {D}.", ["When is the homework due?", "On which day is homework due?",
                                 "What is the deadline for homework?"]),
    ("The exam takes {N} minutes.", ["How long is the exam?", "How many minutes does the exam take?"]),
    ("Orders above {N} euros ship for free.", [
        "When is shipping free?", "From which amount is shipping free?", "Which orders ship for free?",
    ]),
    ("To reset your password, write to {P}.", [
        "How do I reset my password?", "Who resets passwords?", "What do I do when I forget my password?",
    ]),
    ("The pool is open from {D} to {E}.", ["When is the pool open?", "On which days is the pool open?"]),
    ("Dogs are not allowed in {L}.", ["Where are dogs not allowed?", "Are dogs allowed in {L}?",
                                      "Can I bring my dog to {L}?"]),
    ("The robot weighs {N} kilograms and was built in {L}.", [
        "How much does the robot weigh?", "Where was the robot built?", "What is the weight of the robot?",
    ]),
    ("The battery lasts {N} hours.", ["How long does the battery last?",
                                      "How many hours does the battery last?"]),
    ("The concert in {L} begins at {N}.", ["When does the concert begin?", "Where is the concert?",
                                           "At what time is the concert in {L}?"]),
    ("Lunch is served from {N} to {M}.", ["When is lunch?", "When is lunch served?",
                                          "At what time can I eat lunch?"]),
    ("The key is kept in the {C} box.", ["Where is the key?", "Where is the key kept?",
                                         "In which box is the key?"]),
    ("Use the {F} form to order books.", ["Which form do I use to order books?", "How do I order books?"]),
    ("The garden was planted by {P} in {O}.", ["Who planted the garden?", "When was the garden planted?"]),
    ("Membership costs {N} dollars a month.", [
        "How much is membership?", "What does membership cost?", "What is the price of membership?",
    ]),
    ("The bus to {L} stops every {N} minutes.", [
        "How often does the bus stop?", "How often does the bus to {L} come?",
    ]),
    ("Trains in {L} are painted {C}.", ["What colour are trains in {L}?", "How are trains painted?"]),
    ("The winter festival takes place in {L}.", [
        "Where is the winter festival?", "Where does the winter festival take place?",
    ]),
    ("Bees at {F} make {N} jars of honey a year.", [
        "How many jars of honey do bees make?", "How much honey is made at {F}?",
    ]),
    ("The printer is on floor {N} next to the {C} sofa.", [
        "Where is the printer?", "On which floor is the printer?", "Where do I find the printer?",
    ]),
    ("Passwords must have at least {N} characters.", [
        "How long must a password be?", "How many characters must passwords have?",
    ]),
    ("Invoices are sent to {F} by {D}.", ["To whom are invoices sent?", "By when are invoices sent?",
                                          "Where do I send invoices?"]),
    ("The trial period is {N} weeks.", ["How long is the trial period?",
                                        "How many weeks is the trial period?"]),
    ("Children under {N} travel for free.", ["Who travels for free?",
                                             "Under which age do children travel for free?",
                                             "Do children pay?"]),
    ("The doctor sees patients on {D} and {E}.", [
        "When does the doctor see patients?", "On which days can I see the doctor?",
    ]),
    ("Water boils at {N} degrees on {L}.", ["At what temperature does water boil?", "When does water boil?"]),
    ("Your order from {F} arrives on {D}.", ["When does my order arrive?",
                                             "On which day does my order from {F} arrive?"]),
    ("The first lesson is about {X} and is taught by {P}.", [
        "What is the first lesson about?", "Who teaches the first lesson?",
    ]),
    ("Please return books after {N} weeks.", ["When must I return books?",
                                              "After how many weeks do I return books?"]),
    ("The lab is cleaned every {D} by {F}.", ["When is the lab cleaned?", "Who cleans the lab?",
                                              "How often is the lab cleaned?"]),
    ("Overtime is paid at {N} euros an hour.", ["How is overtime paid?", "How much is paid for overtime?"]),
    ("The speed limit in {L} is {N}.", ["What is the speed limit?", "What is the speed limit in {L}?",
                                        "How fast can I drive in {L}?"]),
    ("Plants need water every {N} days.", ["How often do plants need water?", "When do plants need water?"]),
    ("The backup runs at {N} each night.", ["When does the backup run?",
                                            "At what time does the backup run?"]),
    ("Call {P} when the server is down.", ["Whom do I call when the server is down?",
                                           "What do I do when the server is down?",
                                           "The server is down, who helps?"]),
    ("The {C} line goes to {L}.", ["Which line goes to {L}?", "Where does the {C} line go?"]),
    ("Registration ends on {D} in {O}.", ["When does registration end?", "Until when can I register?"]),
    ("Bread is baked with {X} in {L}.", ["How is bread baked in {L}?", "With what is bread baked?"]),
    ("The choir sings in {L} every {D}.", ["Where does the choir sing?", "When does the choir sing?"]),
    ("A parcel may weigh {N} kilograms at most.", [
        "How much may a parcel weigh?", "What is the largest weight of a parcel?",
    ]),
    ("The kitchen is closed in {O}.", ["When is the kitchen closed?",
                                       "In which month is the kitchen closed?"]),
    ("{P} leads the sales team.", ["Who leads the sales team?", "Who is the head of sales?",
                                   "Whom do I ask about sales?"]),
    ("The software runs on {W} and needs {N} gigabytes.", [
        "What does the software run on?", "How many gigabytes does the software need?",
    ]),
    ("Breaks are {N} minutes long.", ["How long are breaks?", "How many minutes is a break?"]),
    ("Bikes can be rented from {F} for {N} dollars.", [
        "Where can I rent a bike?", "How much is it to rent a bike?", "Who rents bikes?",
    ]),
    ("The winner gets {N} coins and a {C} hat.", [
        "What does the winner get?", "How many coins does the winner get?",
    ]),
    ("Questions about pay go to {P}.", ["Who answers questions about pay?", "Whom do I ask about pay?",
                                        "Where do questions about pay go?"]),
    ("The rocket {W} carries {N} tons.", ["How much does the rocket carry?",
                                          "How many tons does {W} carry?"]),
    ("Students may borrow {N} books at a time.", [
        "How many books may students borrow?", "How many books can I borrow?",
    ]),
]


def handbook(draw: Draw, slots: dict[str, str] | None = None) -> Fact:
    """One entry with its slots filled; held-out entries are whole entries, sentence and questions alike."""
    sentence, questions = draw.phrase(ENTRIES)
    first, second = draw.several(DAYS, 2)
    filled = slots or {
        "N": names.count(draw) if draw.chance(0.3) else str(draw.integer(2, 60)),
        "M": str(draw.integer(2, 99)),
        "D": first, "E": second, "O": draw.one(MONTHS), "P": names.person(draw), "L": names.place(draw),
        "F": names.firm(draw), "C": draw.one(COLOURS), "W": names.thing(draw), "X": draw.one(FOODS),
    }
    text = sentence.format(**filled)
    return Fact(text, [(question.format(**filled), text) for question in questions])
