"""How the bundled tutorial model is made: data generator, tokenizer, network, training, export and checks.

Nothing here is imported by the product; it ships as source so that the model can be made again.
"""
