"""The vocabulary of prompts, as data: kinds of music, instruments, moods. Two words count too."""

GENRE_OF: dict[str, str] = {
    word: genre
    for genre, words in {
        "pop": "pop indie radio teen musical anthem ukulele",
        "rock": "rock punk metal grunge garage hardrock guitars riff",
        "jazz": "jazz jazzy bebop swing bigband blues noir cabaret",
        "lofi": "lofi lo-fi chillhop study studying beats chill mellow",
        "house": "house dance club disco edm party trance eurodance electronic electro rave",
        "techno": "techno industrial minimal rave warehouse acid",
        "synthwave": "synthwave retrowave outrun vaporwave cyberpunk neon eighties 80s arcade",
        "hiphop": "hiphop hip-hop rap trap boombap drill beat rnb soul",
        "funk": "funk funky groovy groove motown slap",
        "latin": "latin bossa samba salsa tango rumba brazilian cuban beach tropical",
        "reggae": "reggae dub ska jamaican",
        "folk": "folk acoustic country bluegrass campfire celtic irish medieval ballad",
        "classical": "classical baroque sonata chamber symphony minuet waltz mozart bach chopin "
        "romantic elegant nocturne",
        "cinematic": "cinematic epic film movie trailer orchestral orchestra soundtrack heroic "
        "battle fantasy adventure war",
        "ambient": "ambient drone meditation meditative spa yoga sleep atmospheric space floating "
        "relaxing relaxation ethereal",
        "lullaby": "lullaby nursery baby cradle bedtime musicbox",
    }.items()
    for word in words.split()
} | {"hip hop": "hiphop", "big band": "jazz", "bossa nova": "latin"}
"""Word or pair of words to the kind of music that it names."""

INSTRUMENT_OF: dict[str, str] = {
    "piano": "piano",
    "pianist": "piano",
    "keys": "electric_piano",
    "rhodes": "electric_piano",
    "electric piano": "electric_piano",
    "guitar": "guitar",
    "guitars": "guitar",
    "acoustic guitar": "guitar",
    "ukulele": "guitar",
    "banjo": "guitar",
    "lute": "guitar",
    "electric guitar": "electric_guitar",
    "distorted guitar": "electric_guitar",
    "harp": "harp",
    "strings": "strings",
    "orchestra": "strings",
    "violins": "strings",
    "violin": "violin",
    "fiddle": "violin",
    "cello": "violin",
    "viola": "violin",
    "flute": "flute",
    "whistle": "flute",
    "recorder": "flute",
    "clarinet": "clarinet",
    "oboe": "clarinet",
    "saxophone": "brass",
    "sax": "brass",
    "brass": "brass",
    "horn": "brass",
    "horns": "brass",
    "trumpet": "brass",
    "trombone": "brass",
    "organ": "organ",
    "accordion": "organ",
    "choir": "choir",
    "voices": "choir",
    "bells": "bells",
    "bell": "bells",
    "chimes": "bells",
    "glockenspiel": "music_box",
    "celesta": "music_box",
    "music box": "music_box",
    "musicbox": "music_box",
    "marimba": "marimba",
    "xylophone": "marimba",
    "kalimba": "marimba",
    "vibraphone": "vibraphone",
    "vibes": "vibraphone",
    "pad": "pad",
    "pads": "pad",
    "synth": "synth_lead",
    "synths": "synth_lead",
    "synthesizer": "synth_lead",
    "pluck": "pluck",
    "arpeggio": "pluck",
    "arpeggios": "pluck",
    "bass": "electric_bass",
    "bass guitar": "electric_bass",
    "double bass": "upright_bass",
    "upright bass": "upright_bass",
    "contrabass": "upright_bass",
    "synth bass": "synth_bass",
    "sub bass": "sub_bass",
    "808": "sub_bass",
}
"""Word or pair of words to the instrument that it asks for, or the closest one there is."""

DRUM_WORDS = frozenset(
    ("drums", "drum", "percussion", "drumming", "beat", "beats", "drummer", "kick", "cymbals")
)
"""Words for the drums as a whole."""

MELODY_WORDS = frozenset(("melody", "lead", "solo", "theme", "tune"))
"""Words for the leading voice, to be left out by `no melody`."""

MOOD_OF: dict[str, tuple[float, float]] = {
    word: shift
    for shift, words in {
        (0.2, 0.35): "happy joyful cheerful playful fun sunny upbeat bright uplifting optimistic "
        "festive bouncy quirky celebration",
        (0.3, 0.1): "energetic fast powerful driving intense loud aggressive exciting wild "
        "hard heavy busy dynamic running action chase",
        (0.4, 0.0): "frantic furious explosive extreme massive",
        (-0.25, 0.05): "calm peaceful gentle soft quiet relaxing relaxed slow tranquil serene "
        "soothing tender sleepy easy delicate simple sparse",
        (-0.2, -0.3): "sad melancholic melancholy lonely sorrowful nostalgic wistful somber grief "
        "heartbroken rainy rain mournful bittersweet",
        (0.05, -0.4): "dark ominous scary eerie mysterious tense sinister gloomy horror suspense "
        "haunting night midnight evil",
        (-0.05, 0.25): "warm dreamy romantic hopeful love magical whimsical innocent morning "
        "spring sweet",
        (0.15, 0.2): "triumphant victorious majestic proud inspiring heroic glorious",
    }.items()
    for word in words.split()
}
"""Word to how it shifts energy and brightness."""

METER_OF: dict[str, str] = {
    "waltz": "3",
    "minuet": "3",
    "mazurka": "3",
    "jig": "6",
    "tarantella": "6",
    "barcarolle": "6",
    "sicilienne": "6",
    "march": "2",
    "polka": "2",
}
"""Dances to their time signature."""

LEAVES_OUT = frozenset({"no", "without", "minus", "except", "not"})
"""Words that turn the next one, or the next two, into something to leave out."""
