"""A small rendered world: subjects, scenes and photos of one in the other with exact masks.

It stands in for photographs wherever a truth has to be known: the demo, the tests, training.
`subjects` says what there is, `scenes` where it can be, `prompts` what is asked for, `render` takes
the photo; `checkpoint` writes an encoder with random weights, to look at the photos with.
"""
