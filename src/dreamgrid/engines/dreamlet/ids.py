"""The catalogue ids of dreamlet's pictures."""

MODEL = "dreamlet-v1"
"""Paints from words, and paints over pictures."""

ENHANCER = "dreamlet-enhance-v1"
"""Makes a picture finer: cleaner outlines, and a little painting over."""

UPSCALER = "dreamlet-upscale-v1"
"""Makes a picture larger, and changes nothing else."""
