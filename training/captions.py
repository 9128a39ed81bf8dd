"""Which things dreamlet learns to draw, and the captions that describe them.

A *thing* is one picture of the Fluent emoji set with its names. Names come from emojibase-data
(label, tags) and emojilib (keywords); captions are drawn anew every time a picture is shown, so
that the model learns words rather than sentences.

Packages (all MIT), installed with npm into one folder, the `--packages` of every script here:
`npm install @lobehub/fluent-emoji-3d@1.1.0 emojibase-data@17.0.0 emojilib@4.0.3`
"""

import argparse
import json
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# Group numbers of emojibase-data.
FACES, PEOPLE, ANIMALS, FOOD, TRAVEL, ACTIVITIES, OBJECTS, SYMBOLS = 0, 1, 3, 4, 5, 6, 7, 8

# Dozens of yellow faces differ by a few pixels at 64 px: only clearly distinct ones are taken.
FACE_LABELS = frozenset(
    """grinning face|beaming face with smiling eyes|face with tears of joy|slightly smiling face
    |winking face|smiling face with halo|smiling face with hearts|smiling face with heart-eyes
    |star-struck|face with tongue|money-mouth face|thinking face|sleeping face|hot face|cold face
    |exploding head|cowboy hat face|partying face|disguised face|smiling face with sunglasses
    |nerd face|face with monocle|flushed face|loudly crying face|face screaming in fear
    |angry face|enraged face|smiling face with horns|angry face with horns|skull
    |skull and crossbones|pile of poo|clown face|ogre|goblin|ghost|alien|alien monster|robot
    |grinning cat|smiling cat with heart-eyes|see-no-evil monkey|hear-no-evil monkey
    |speak-no-evil monkey|love letter|heart with arrow|heart with ribbon|sparkling heart
    |two hearts|broken heart|heart on fire|red heart|pink heart|orange heart|yellow heart
    |green heart|blue heart|light blue heart|purple heart|brown heart|black heart|grey heart
    |white heart|kiss mark|collision|dizzy|sweat droplets|hole|speech balloon""".replace(
        "\n    ", ""
    ).split("|")
)
PEOPLE_LABELS = frozenset(
    """waving hand|OK hand|victory hand|thumbs up|thumbs down|raised fist|clapping hands|handshake
    |folded hands|flexed biceps|mechanical arm|foot|ear|nose|brain|anatomical heart|lungs|tooth
    |bone|eyes|eye|tongue|mouth|baby|child|boy|girl|person|man|woman|person: beard|old man
    |old woman|health worker|student|farmer|cook|mechanic|scientist|singer|artist|pilot|astronaut
    |firefighter|police officer|detective|guard|ninja|construction worker|prince|princess
    |woman with headscarf|baby angel|Santa Claus|Mrs. Claus|superhero|supervillain|mage|fairy
    |vampire|mermaid|elf|genie|zombie|troll|woman dancing|man dancing|horse racing|skier
    |snowboarder|person surfing|person swimming|person biking|person in lotus position
    |bust in silhouette|family|footprints""".replace("\n    ", "").split("|")
)
SYMBOL_LABELS = re.compile(
    r"(red|orange|yellow|green|blue|purple|brown|black|white) circle"
    r"|(red|orange|yellow|green|blue|purple|brown) square"
    r"|recycling symbol|yin yang|peace symbol|red question mark|red exclamation mark|check mark"
    r"|musical note|warning|radioactive|stop sign"
)
CLOCK_LABELS = re.compile(r".*(o’clock|-thirty)$")

# Everyday words that the packages list as one keyword among many, or not at all.
EVERYDAY_NAMES: dict[str, tuple[str, ...]] = {
    "automobile": ("car", "red car"),
    "sport utility vehicle": ("suv", "blue car"),
    "racing car": ("race car", "fast car"),
    "hot beverage": ("coffee", "cup of coffee", "cup of tea"),
    "hamburger": ("burger", "cheeseburger"),
    "french fries": ("fries", "chips"),
    "beer mug": ("beer",),
    "wine glass": ("glass of wine", "red wine"),
    "birthday cake": ("cake",),
    "shortcake": ("slice of cake",),
    "doughnut": ("donut",),
    "deciduous tree": ("tree",),
    "evergreen tree": ("pine tree", "fir tree"),
    "sailboat": ("boat", "sailing boat"),
    "passenger ship": ("cruise ship",),
    "airplane": ("plane",),
    "flying saucer": ("ufo",),
    "rocket": ("spaceship", "rocket ship"),
    "locomotive": ("steam train",),
    "mage": ("wizard", "old wizard"),
    "honeybee": ("bee",),
    "lady beetle": ("ladybug", "ladybird"),
    "T-Rex": ("dinosaur", "tyrannosaurus rex"),
    "sauropod": ("dinosaur", "brontosaurus"),
    "cat": ("kitten", "kitty"),
    "dog": ("puppy",),
    "cat face": ("cat", "kitten"),
    "dog face": ("dog", "puppy"),
    "red apple": ("apple",),
    "wrapped gift": ("gift", "present"),
    "alarm clock": ("clock",),
    "mobile phone": ("phone", "smartphone"),
    "laptop": ("laptop computer", "notebook computer"),
    "desktop computer": ("computer",),
    "soccer ball": ("football", "ball"),
    "red heart": ("heart", "love"),
    "full moon": ("moon",),
    "crescent moon": ("moon",),
    "blossom": ("flower", "yellow flower"),
    "spiral shell": ("seashell", "shell"),
    "snowman without snow": ("snowman",),
    "jack-o-lantern": ("halloween pumpkin", "pumpkin"),
    "gem stone": ("diamond", "gem"),
    "closed book": ("book",),
    "light bulb": ("lamp", "bulb"),
    "tiger face": ("tiger",),
    "horse face": ("horse",),
    "rabbit face": ("rabbit", "bunny"),
    "cow face": ("cow",),
    "pig face": ("pig",),
    "mouse face": ("mouse",),
    "monkey face": ("monkey",),
    "dragon face": ("dragon",),
    "sun with face": ("smiling sun",),
    "snow-capped mountain": ("mountain", "snowy mountain"),
    "ringed planet": ("planet", "saturn"),
    "soft ice cream": ("ice cream", "ice cream cone"),
    "ear of corn": ("corn",),
    "cheese wedge": ("cheese",),
    "cooking": ("fried egg",),
    "spaghetti": ("pasta",),
    "smiling face with sunglasses": ("cool smiley",),
    "grinning face": ("smiley", "happy face"),
    "angry face": ("angry smiley",),
    "loudly crying face": ("sad face", "crying smiley"),
    "pile of poo": ("poop",),
    "high voltage": ("lightning", "lightning bolt"),
    "Tokyo tower": ("eiffel tower", "tower"),
    "musical keyboard": ("piano",),
    "t-shirt": ("shirt", "blue shirt"),
    "billed cap": ("cap", "baseball cap"),
    "running shoe": ("sneaker", "shoe"),
    "key": ("golden key",),
    "globe showing Europe-Africa": ("earth", "globe"),
    "globe showing Americas": ("earth", "globe"),
}

# What people ask for most. A CPU has time for some five hundred things, so these (and all animals,
# plants and food) get nine pictures in ten; the rest is learned in passing.
POPULAR_LABELS = frozenset(
    """grinning face|smiling face with heart-eyes|smiling face with sunglasses|thinking face
    |cowboy hat face|partying face|nerd face|loudly crying face|angry face|skull|pile of poo
    |clown face|ghost|alien|alien monster|robot|grinning cat|red heart|orange heart|yellow heart
    |green heart|blue heart|purple heart|black heart|white heart|broken heart|love letter
    |waving hand|thumbs up|flexed biceps|eye|brain|tooth|baby|boy|girl|man|woman|old man|old woman
    |astronaut|firefighter|police officer|ninja|prince|princess|Santa Claus|superhero|mage|fairy
    |vampire|mermaid|zombie|world map|compass|snow-capped mountain|mountain|volcano|camping
    |beach with umbrella|desert|desert island|stadium|classical building|house|house with garden
    |office building|hospital|school|factory|castle|Japanese castle|Tokyo tower|Statue of Liberty
    |church|fountain|tent|sunrise|sunset|cityscape|carousel horse|ferris wheel|roller coaster
    |circus tent|locomotive|high-speed train|tram|bus|ambulance|fire engine|police car|taxi
    |automobile|sport utility vehicle|pickup truck|delivery truck|tractor|racing car|motorcycle
    |motor scooter|bicycle|skateboard|anchor|sailboat|canoe|speedboat|ship|passenger ship|airplane
    |helicopter|rocket|flying saucer|satellite|luggage|hourglass done|watch|alarm clock
    |full moon|crescent moon|sun|sun with face|full moon face|ringed planet|star|cloud
    |cloud with rain|cloud with lightning|tornado|rainbow|umbrella|high voltage|snowflake|snowman
    |fire|droplet|water wave|jack-o-lantern|Christmas tree|fireworks|balloon|party popper
    |wrapped gift|trophy|sports medal|soccer ball|baseball|basketball|volleyball|american football
    |tennis|bowling|boxing glove|ice skate|bullseye|kite|pool 8 ball|crystal ball|magic wand
    |video game|game die|puzzle piece|teddy bear|artist palette|yarn|glasses|sunglasses|t-shirt
    |jeans|dress|gloves|socks|handbag|backpack|running shoe|high-heeled shoe|crown|top hat
    |graduation cap|lipstick|ring|gem stone|bell|musical note|microphone|headphone|radio|saxophone
    |trumpet|accordion|guitar|musical keyboard|violin|drum|mobile phone|telephone|battery|laptop
    |desktop computer|printer|floppy disk|movie camera|television|camera|candle|light bulb
    |flashlight|closed book|open book|books|newspaper|coin|money bag|envelope
    |package|pencil|paintbrush|briefcase|calendar|pushpin|scissors|locked|key|hammer|axe
    |crossed swords|bomb|bow and arrow|shield|wrench|gear|magnet|test tube|microscope|telescope
    |syringe|pill|door|bed|chair|couch and lamp|toilet|bathtub|broom|soap|toothbrush
    |shopping cart|stop sign|red circle|blue circle|green circle|yellow circle""".replace(
        "\n    ", ""
    ).split("|")
)


# A short training ends with these alone: better to know two hundred things than half know all.
FOCUS_LABELS = frozenset(
    """red apple|green apple|banana|strawberry|cherries|grapes|watermelon|pineapple|lemon|tangerine
    |peach|pear|kiwi fruit|coconut|avocado|tomato|carrot|ear of corn|broccoli|mushroom|hot pepper
    |eggplant|hamburger|pizza|hot dog|french fries|taco|sushi|doughnut|cookie|birthday cake|cupcake
    |shortcake|soft ice cream|lollipop|candy|chocolate bar|popcorn|bread|croissant|pretzel
    |cheese wedge|bacon|cooking|hot beverage|beer mug|wine glass|honey pot|cat face|dog face|cat|dog
    |tiger face|lion|fox|wolf|bear|panda|koala|rabbit face|mouse face|hamster|pig face|cow face
    |monkey face|frog|horse|unicorn|zebra|elephant|giraffe|sheep|penguin|chicken|baby chick
    |front-facing baby chick|duck|eagle|owl|parrot|flamingo|peacock|swan|turtle|snake|dragon
    |crocodile|T-Rex|whale|spouting whale|dolphin|fish|tropical fish|blowfish|shark|octopus|crab
    |lobster|snail|butterfly|honeybee|lady beetle|spider|bug|ant|spiral shell|cactus|palm tree
    |deciduous tree|evergreen tree|Christmas tree|four leaf clover|maple leaf|rose|tulip|sunflower
    |hibiscus|cherry blossom|blossom|automobile|taxi|police car|bus|fire engine|ambulance|tractor
    |racing car|sport utility vehicle|delivery truck|motorcycle|bicycle|locomotive|airplane
    |helicopter|rocket|flying saucer|sailboat|passenger ship|speedboat|anchor|house
    |house with garden|castle|church|tent|mountain|volcano|snow-capped mountain|rainbow|sun
    |sun with face|full moon|full moon face|crescent moon|star|ringed planet|cloud|cloud with rain
    |cloud with lightning|high voltage|snowflake|snowman|fire|droplet|umbrella|balloon|party popper
    |wrapped gift|jack-o-lantern|crown|top hat|gem stone|ring|trophy|bell|guitar|drum|trumpet|violin
    |soccer ball|basketball|baseball|tennis|teddy bear|puzzle piece|crystal ball|robot|ghost|alien
    |skull|pile of poo|clown face|grinning face|smiling face with heart-eyes
    |smiling face with sunglasses|angry face|loudly crying face|red heart|blue heart|green heart
    |broken heart|key|locked|light bulb|candle|alarm clock|camera|television|laptop|mobile phone
    |closed book|books|pencil|hammer|scissors|sunglasses|t-shirt|jeans|dress|running shoe|handbag
    |backpack|eye|astronaut|Santa Claus|mermaid""".replace("\n    ", "").split("|")
)


@dataclass(frozen=True)
class Emphasis:
    """How often what is shown, relative to others; what a stretch of the training is about."""

    common: float  # weight of the things of FOCUS_LABELS
    popular: float  # of the other popular things
    other: float
    plain_share: float  # pictures of one thing on a plain ground
    tint_share: float  # tinted things among those

    def weight_of(self, thing: "Thing") -> float:
        """How often a thing is shown, relative to others."""
        if thing.in_focus:
            return self.common
        return self.popular if thing.is_popular else self.other


# In the order of a training: everything at first, then the commonest until they are right, then the
# popular ones, which find the way prepared, then all others. The last two repeat the common ones
# and the tints, or they would be forgotten.
EMPHASES = {
    "broad": Emphasis(1.2, 1.2, 0.12, plain_share=0.72, tint_share=0.06),
    "common": Emphasis(1.0, 0.02, 0.02, plain_share=0.92, tint_share=0.0),
    "popular": Emphasis(0.6, 1.0, 0.04, plain_share=0.82, tint_share=0.09),
    "rare": Emphasis(0.45, 0.7, 0.8, plain_share=0.83, tint_share=0.07),
}


WRAPPERS = (
    "a photo of {}",
    "a picture of {}",
    "a drawing of {}",
    "an illustration of {}",
    "an icon of {}",
    "a 3d render of {}",
    "an emoji of {}",
    "{}, 3d render",
    "{}, highly detailed",
    "{}, digital art",
)
ADJECTIVES = ("cute", "nice", "beautiful", "little", "big", "simple", "lovely", "shiny")


@dataclass(frozen=True)
class Thing:
    """One picture of the set and the words for it, all lower case."""

    label: str
    names: tuple[str, ...]  # equally good names; the label is the first
    keywords: tuple[str, ...]  # words that fit, from specific to vague
    keyword_weights: tuple[float, ...]  # 1 / number of things that share the keyword
    group: int
    is_popular: bool
    in_focus: bool
    picture: Path  # WEBP, RGBA, 256 px


def is_wanted(label: str, group: int) -> bool:
    """Whether dreamlet learns the thing; flags, clock faces and near-duplicates stay out."""
    if group == FACES:
        return label in FACE_LABELS
    if group == PEOPLE:
        return label in PEOPLE_LABELS
    if group == SYMBOLS:
        return SYMBOL_LABELS.fullmatch(label) is not None
    return group in (ANIMALS, FOOD, TRAVEL, ACTIVITIES, OBJECTS) and not CLOCK_LABELS.match(label)


def load_things(packages: Path) -> list[Thing]:
    """Joins pictures and words on the code point, in the order of emojibase-data."""
    pictures = {
        file.stem.lower().replace("-fe0f", ""): file
        for file in sorted((packages / "@lobehub/fluent-emoji-3d/assets").glob("*.webp"))
    }
    entries = json.loads((packages / "emojibase-data/en/data.json").read_text())
    keywords_by_emoji = json.loads((packages / "emojilib/dist/emoji-en-US.json").read_text())
    raw: list[tuple[str, list[str], int, Path]] = []
    for entry in entries:
        picture = pictures.get(entry["hexcode"].lower().replace("-fe0f", ""))
        if picture is None or not is_wanted(entry["label"], entry.get("group", -1)):
            continue
        label = clean_words(entry["label"])
        words = entry.get("tags", []) + keywords_by_emoji.get(entry["emoji"], [])
        keywords = list(dict.fromkeys(clean_words(word) for word in words))
        keywords = [word for word in keywords if word and word != label and word.isascii()]
        raw.append((entry["label"], keywords, entry["group"], picture))
    shared = Counter(word for _, keywords, _, _ in raw for word in keywords)
    return [
        Thing(
            label=clean_words(label),
            names=(clean_words(label), *EVERYDAY_NAMES.get(label, ())),
            keywords=tuple(sorted(keywords, key=lambda word: shared[word])),
            keyword_weights=tuple(sorted((1 / shared[word] for word in keywords), reverse=True)),
            group=group,
            is_popular=group in (ANIMALS, FOOD) or label in POPULAR_LABELS,
            in_focus=label in FOCUS_LABELS,
            picture=picture,
        )
        for label, keywords, group, picture in raw
    ]


def clean_words(text: str) -> str:
    """ "person: beard" -> "person beard", "see_no_evil" -> "see no evil", lower case."""
    return re.sub(r"[\s_:“”]+", " ", text.replace("’", "'")).strip().lower()


def with_article(name: str) -> str:
    """ "apple" -> "an apple"."""
    return ("an " if name[0] in "aeiou" else "a ") + name


def draw_name(thing: Thing, random_source: random.Random) -> str:
    """A name of the thing: usually a full name, at times one fitting keyword."""
    if thing.keywords and random_source.random() < 0.12:
        return random_source.choices(thing.keywords, thing.keyword_weights)[0]
    return random_source.choice(thing.names)


def draw_caption(thing: Thing, random_source: random.Random, color: str = "") -> str:
    """A caption for one thing alone, with its color in front of the name when it was tinted."""
    roll = random_source.random()
    name = draw_name(thing, random_source)
    if color:
        name = f"{color} {name}"
    elif roll < 0.1 and len(thing.keywords) >= 2:
        return ", ".join([name, *random_source.sample(thing.keywords, 2)])
    elif roll < 0.16:
        name = f"{random_source.choice(ADJECTIVES)} {name}"
    if random_source.random() < 0.5:
        name = with_article(name)
    if random_source.random() < 0.2:
        name = random_source.choice(WRAPPERS).format(name)
    return name


def main() -> None:
    """Prints what the packages offer and a few captions, to judge them by eye."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--count", type=int, default=30, help="captions to print")
    arguments = parser.parse_args()
    things = load_things(arguments.packages)
    print(f"{len(things)} things, by group: {dict(Counter(thing.group for thing in things))}")
    random_source = random.Random(0)
    for thing in random_source.sample(things, arguments.count):
        print(f"{thing.label:32} {draw_caption(thing, random_source)}")


if __name__ == "__main__":
    main()
