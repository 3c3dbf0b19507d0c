"""Scores at the validation of diffusers' training scripts, where they call `log_validation`."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image

from masc_core import Generation, MaSC, MaSCMetric, Reference


class MaSCValidation:
    """`validation(pipeline, step, accelerator)`: images of fixed seeds, scored and logged."""

    def __init__(
        self,
        masc: MaSC,
        references: Sequence[Reference],  # from masc.encode_references
        prompts: Sequence[str],
        subject: str,  # the noun that names the concept in the prompts
        segment: Callable[[Image.Image, str], object],  # a mask; see docs/segmenters.md
        **options,  # of the pipeline: num_inference_steps, guidance_scale, height, width
    ):
        self.metric = MaSCMetric(masc)
        self.references, self.prompts, self.subject = references, prompts, subject
        self.segment, self.options = segment, options

    @torch.no_grad()
    def __call__(self, pipeline, step: int, accelerator=None) -> dict[str, float]:
        self.metric.reset()
        for number, prompt in enumerate(self.prompts):
            seeded = torch.Generator().manual_seed(number)  # the same noise at every step
            [image] = pipeline(prompt, generator=seeded, **self.options).images
            mask = self.segment(image, self.subject)
            made = Generation(image, mask, prompt, self.references, self.subject)
            self.metric.update([made])
        found = {f"masc_{name}": float(value) for name, value in self.metric.compute().items()}
        if accelerator is not None:
            accelerator.log(found, step=step)  # to whatever trackers the script has
        return found
