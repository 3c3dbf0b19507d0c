"""How the small encoder of the demo is trained, and how well it then does.

`photos` makes batches of the rendered world, `model` the towers and their tokenizer, `objective`
says what is learned, `loop` is the way from the first step to a checkpoint, and `claims` measures
on concepts that no step has seen.
"""
