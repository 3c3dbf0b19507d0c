"""MaSC as a reward: an image is moved by gradient, honestly and by cheating, side by side."""

import numpy as np
import torch
from PIL import Image

from jobs.demo.world.render import random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS
from masc_core import Generation, MaSC

PROMPT, NOUN = "a striped blue cat on a sandy beach", "striped blue cat"


def as_tensor(image):
    return torch.from_numpy(np.array(image) / 255).float().permute(2, 0, 1)[None]


def climb(masc, image, mask, cat, honest, steps=12, rate=0.002):
    """The image (1, 3, H, W) after steps of signed gradient: of CP under the mask and of PF outside
    it; or, to cheat, of CP everywhere."""
    subject = torch.from_numpy(np.array(mask) > 0)
    for _ in range(steps):
        cp, pf = masc.reward(image.requires_grad_(), [mask], [PROMPT], [cat], [NOUN])
        [of_cp] = torch.autograd.grad(cp.sum(), image, retain_graph=True)
        [of_pf] = torch.autograd.grad(pf.sum(), image)
        step = torch.where(subject, of_cp.sign(), 0.2 * of_pf.sign()) if honest else of_cp.sign()
        image = (image + rate * step).clamp(0, 1).detach()
    return image


def main() -> list[tuple[str, float, float, float]]:
    """What each image scores: its name, CP, PF and `cp.leak`, also printed as a table."""
    masc = MaSC.from_pretrained("demo", device="cpu", extra=["cp.leak"])
    scenes, rng = {scene.id: scene for scene in SCENES}, np.random.default_rng(0)
    cats = {subject.noun: subject for subject in SUBJECTS if subject.id.endswith("_cat")}
    right, wrong = cats[NOUN], cats["zigzag white cat"]
    photo, photo_mask = render(right, scenes["bright_kitchen"], random_pose(rng), (192, 192))
    made, mask = render(wrong, scenes["sandy_beach"], random_pose(rng), (192, 192))
    cat = masc.encode_references([photo], [photo_mask])
    start, copied = as_tensor(made), as_tensor(photo)
    images = {
        "start": (start, mask),
        "by gradient": (climb(masc, start.clone(), mask, cat, honest=True), mask),
        "CP alone, everywhere": (climb(masc, start.clone(), mask, cat, honest=False), mask),
        "half of the photo": (start.lerp(copied, 0.5), photo_mask),
        "the photo itself": (copied, photo_mask),
    }
    rows = []
    print(f"{'':20}{'CP':>8}{'PF':>8}{'cp.leak':>9}")
    for name, (pixels, own_mask) in images.items():
        picture = Image.fromarray((pixels[0] * 255).round().byte().permute(1, 2, 0).numpy())
        [score] = masc.score_batch([Generation(picture, own_mask, PROMPT, cat, NOUN)])
        rows.append((name, score.cp, score.pf, score.extra["cp.leak"]))
        print(f"{name:20}{score.cp:8.3f}{score.pf:8.3f}{rows[-1][3]:9.3f}")
    return rows


if __name__ == "__main__":
    main()
