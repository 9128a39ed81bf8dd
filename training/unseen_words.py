"""Fifty words that stand in no caption, and labels of what a picture of each may show."""

UNSEEN_WORDS: dict[str, tuple[str, ...]] = {
    "labrador": (
        "dog",
        "dog face",
    ),
    "terrier": (
        "dog",
        "dog face",
    ),
    "tabby": (
        "cat",
        "cat face",
    ),
    "siamese": (
        "cat",
        "cat face",
    ),
    "stallion": (
        "horse",
        "horse face",
    ),
    "panther": (
        "leopard",
        "tiger",
        "black cat",
    ),
    "cheetah": (
        "leopard",
        "tiger",
    ),
    "cobra": ("snake",),
    "hare": (
        "rabbit",
        "rabbit face",
    ),
    "piglet": (
        "pig",
        "pig face",
    ),
    "calf": (
        "cow",
        "cow face",
        "ox",
    ),
    "goldfish": (
        "fish",
        "tropical fish",
    ),
    "trout": ("fish",),
    "orca": (
        "whale",
        "spouting whale",
    ),
    "hornet": ("honeybee",),
    "moth": ("butterfly",),
    "sparrow": ("bird",),
    "hawk": ("eagle",),
    "chimpanzee": (
        "monkey",
        "gorilla",
    ),
    "apricot": ("peach",),
    "satsuma": ("tangerine",),
    "margherita": ("pizza",),
    "espresso": ("hot beverage",),
    "cappuccino": ("hot beverage",),
    "lager": (
        "beer mug",
        "clinking beer mugs",
    ),
    "muffin": ("cupcake",),
    "linguine": ("spaghetti",),
    "gelato": (
        "ice cream",
        "soft ice cream",
    ),
    "champignon": ("mushroom",),
    "jalapeno": ("hot pepper",),
    "sedan": ("automobile",),
    "limousine": ("automobile",),
    "coach": ("bus",),
    "schooner": ("sailboat",),
    "aircraft": ("airplane",),
    "moped": (
        "motor scooter",
        "motorcycle",
    ),
    "cottage": (
        "house",
        "house with garden",
    ),
    "bungalow": (
        "house",
        "house with garden",
    ),
    "citadel": ("castle",),
    "spruce": ("evergreen tree",),
    "oak": ("deciduous tree",),
    "daffodil": (
        "blossom",
        "sunflower",
    ),
    "cello": ("violin",),
    "ukulele": (
        "guitar",
        "banjo",
    ),
    "diadem": ("crown",),
    "emerald": ("gem stone",),
    "cyborg": ("robot",),
    "phantom": ("ghost",),
    "warlock": ("mage",),
    "goblet": (
        "wine glass",
        "trophy",
    ),
}
