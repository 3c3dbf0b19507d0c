"""What is asked for in words: a subject in a scene, by several templates."""

from __future__ import annotations

from jobs.demo.world.scenes import Scene
from jobs.demo.world.subjects import Subject

TEMPLATES = (
    "a photo of {subject} {scene}",
    "{subject} {scene}",
    "a picture of {subject} {scene}",
    "an image that shows {subject} {scene}",
    "a sharp snapshot of {subject} {scene}",
    "here is {subject} {scene}",
)


def prompt(subject: Subject | None, scene: Scene | None, template: str = TEMPLATES[0]) -> str:
    """The template filled in; without a subject, what `strip_subject` leaves of it."""
    words = template.format(
        subject=subject.with_article if subject else "", scene=scene.phrase if scene else ""
    )
    return " ".join(words.split())
