"""Rendered lines of known text: what the demo calibrates on and reads.

Seeded: the same fonts give the same pictures. Fonts, sizes, colours, slight rotation, blur and noise
vary from line to line; no line of one part occurs in the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HEIGHT = 48  # What the recognizer expects.

WORDS = (Path(__file__).parent / "words.txt").read_text().split()

FONT_FOLDERS = ("/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/liberation")


def find_fonts() -> list[Path]:
    """Returns the text fonts of the folders above. Raises FileNotFoundError when there are none."""
    fonts = [
        f
        for folder in FONT_FOLDERS
        for f in sorted(Path(folder).glob("*.ttf"))
        if "Math" not in f.name
    ]
    if not fonts:
        raise FileNotFoundError(
            "no fonts: install the Debian packages fonts-dejavu-core and fonts-liberation"
        )
    return fonts


def _word(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.72:
        word = rng.choice(WORDS)
        style = rng.random()
        return word if style < 0.6 else word.capitalize() if style < 0.85 else word.upper()
    if kind < 0.82:
        return str(rng.randrange(10 ** rng.randrange(1, 7)))
    if kind < 0.91:
        return f"${rng.randrange(1000)}.{rng.randrange(100):02d}"
    return f"{rng.randrange(1, 29):02d}/{rng.randrange(1, 13):02d}/{rng.randrange(1990, 2030)}"


def _picture(
    text: str, font: Path, rng: random.Random, noise: np.random.Generator
) -> npt.NDArray[np.uint8]:
    typeface = ImageFont.truetype(str(font), rng.choice((16, 20, 24, 28, 32, 36)))
    paper = tuple(rng.randrange(256) for _ in range(3))
    ink = paper
    while abs(sum(ink) - sum(paper)) < 270:  # Legible: the mean contrast is at least 90 of 255.
        ink = tuple(rng.randrange(256) for _ in range(3))
    left, top, right, bottom = typeface.getbbox(text)
    pad = [rng.randrange(3, 9) for _ in range(4)]
    image = Image.new(
        "RGB", (int(right - left) + pad[0] + pad[1], int(bottom - top) + pad[2] + pad[3]), paper
    )
    ImageDraw.Draw(image).text((pad[0] - left, pad[2] - top), text, font=typeface, fill=ink)
    if rng.random() < 0.4:
        image = image.rotate(rng.uniform(-1.5, 1.5), Image.Resampling.BILINEAR, fillcolor=paper)
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    pixels = np.asarray(image, np.float32)
    if rng.random() < 0.6:
        pixels = pixels + noise.normal(size=pixels.shape) * rng.uniform(3, 20)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def rendered_lines(part: str, count: int) -> Iterator[tuple[npt.NDArray[np.uint8], str]]:
    """Yields `count` pictures (RGB) with their text. part: 'calibration' or 'evaluation'."""
    seed = {"calibration": 11, "evaluation": 22}[part]
    rng, noise, fonts = random.Random(seed), np.random.default_rng(seed), find_fonts()
    for _ in range(count):
        text = " ".join(_word(rng) for _ in range(rng.choice((2, 2, 3, 3, 4))))
        yield _picture(text, rng.choice(fonts), rng, noise), text


def as_input(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns what the recognizer takes: [1, 3, 48, W] BGR in [-1, 1], W a multiple of 8."""
    image = Image.fromarray(picture)
    width = max(16, -(-round(image.width * HEIGHT / image.height) // 8) * 8)
    scaled = np.asarray(image.resize((width, HEIGHT), Image.Resampling.BILINEAR), np.float32)[
        :, :, ::-1
    ]
    return np.ascontiguousarray((scaled.transpose(2, 0, 1) / 255 - 0.5) / 0.5)[None].astype(
        np.float32
    )
