"""Scores in the log of transformers' `Trainer`, each time that it evaluates."""

from collections.abc import Callable, Mapping, Sequence

from PIL import Image
from transformers import TrainerCallback

from masc_core import Generation, MaSC, MaSCMetric, Reference


class MaSCCallback(TrainerCallback):
    """Adds `eval_masc_cp`, `eval_masc_pf` and their product to the metrics of an evaluation."""

    def __init__(
        self,
        masc: MaSC,
        references: Sequence[Reference],  # from masc.encode_references
        prompts: Sequence[str],
        subject: str,  # the noun that names the concept in the prompts
        generate: Callable[..., Image.Image],  # generate(model, prompt)
        segment: Callable[[Image.Image, str], object],  # a mask; see docs/segmenters.md
    ):
        self.metric = MaSCMetric(masc)
        self.references, self.prompts, self.subject = references, prompts, subject
        self.generate, self.segment = generate, segment

    def on_evaluate(self, args, state, control, model=None, metrics: Mapping | None = None, **_):
        self.metric.reset()
        # Each rank takes its share; compute() adds them up.
        for prompt in self.prompts[args.process_index :: args.world_size]:
            image = self.generate(model, prompt)
            mask = self.segment(image, self.subject)
            made = Generation(image, mask, prompt, self.references, self.subject)
            self.metric.update([made])
        found = {f"eval_masc_{name}": float(v) for name, v in self.metric.compute().items()}
        metrics.update(found)
        if state.is_world_process_zero:
            state.log_history.append({**found, "step": state.global_step})
