"""The words for backgrounds and colors; `scenes.py` draws what they say."""

# Colors that a thing can be tinted with, and the hue (0..1) and saturation of the tint.
# Black, grey and white are handled by brightness alone.
TINT_HUES = {
    "red": 0.0,
    "orange": 0.08,
    "yellow": 0.15,
    "green": 0.34,
    "blue": 0.61,
    "purple": 0.77,
    "pink": 0.9,
}
TINT_GREYS = ("black", "white", "grey")
COLOR_NAMES = (*TINT_HUES, *TINT_GREYS)

# Plain backgrounds, sRGB 0..255.
PLAIN_COLORS = {
    "red": (220, 60, 60),
    "blue": (70, 120, 220),
    "green": (90, 180, 90),
    "yellow": (245, 215, 90),
    "pink": (245, 160, 190),
    "purple": (150, 100, 200),
    "black": (20, 20, 24),
    "grey": (150, 150, 155),
    "orange": (240, 150, 60),
    "brown": (140, 95, 60),
    "light blue": (160, 210, 245),
    "dark blue": (25, 40, 100),
}

# Scenery and the phrases for it.
SCENERY_PHRASES: dict[str, tuple[str, ...]] = {
    "beach": ("on the beach", "on a sandy beach", "at the beach"),
    "sea": ("on the sea", "in the ocean", "on the water"),
    "underwater": ("under water", "underwater", "in the deep sea"),
    "meadow": ("on the grass", "in a meadow", "in a field", "in the garden"),
    "forest": ("in the forest", "in the woods"),
    "night": ("at night", "under the stars", "in the dark"),
    "space": ("in space", "in outer space", "in the galaxy"),
    "sunset": ("at sunset", "at dusk", "in the evening"),
    "desert": ("in the desert", "on sand dunes"),
    "snow": ("in the snow", "in winter"),
    "city": ("in the city", "in a town", "in front of skyscrapers"),
    "mountains": ("in the mountains", "in front of a mountain"),
    "room": ("in a room", "at home", "on the floor"),
    "road": ("on the road", "on the street"),
    "sky": ("in the sky", "in the clouds"),
    "fire": ("in flames", "in front of fire"),
}

BACKGROUND_PHRASES = (
    "on a white background",
    *(f"on a {color} background" for color in PLAIN_COLORS),
    *(f"{color} background" for color in PLAIN_COLORS),
    *(phrase for phrases in SCENERY_PHRASES.values() for phrase in phrases),
)
