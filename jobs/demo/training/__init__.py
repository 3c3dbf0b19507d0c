"""How the small encoder of the demo is trained, and how well it then does.

`batches` photographs the rendered world to train on, `model` has the towers and their tokenizer,
`objective` says what is learned, `loop` is the way from the first step to the last, and `train` is
the whole, with the figures that it is followed by. `photos` and `encoding` are what figures are
taken from, and `claims` measures on concepts that no step has seen.
"""
