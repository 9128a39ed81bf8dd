"""What a prompt asks for, judged by its words: sexual content, and sexual content with minors.

A short list of whole English words, made to raise few false alarms: it misses what is said in
pictures of speech or in other languages. It is a courtesy for those who did not mean to ask, and a
wall for one thing only. Spellings with accents, invisible characters or digits for letters (`nud3`)
count as the word they stand for.
"""

import re
import unicodedata

from dreamgrid.errors import RenderRefused


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


SEXUAL = _listed(
    """
    bdsm blowjob blowjobs boobs breasts coitus creampie cumshot cunnilingus dildo dildos ecchi
    ejaculating ejaculation erotic erotica fellatio futanari gangbang genital genitalia genitals
    handjob hentai intercourse lewd masturbate masturbates masturbating masturbation milf naked
    nipples nsfw nude nudes nudism nudist nudists nudity orgasm orgasms orgy penis penises porn
    porno pornographic pornography rule34 sex sexual sexually striptease titties topless unclothed
    undressed vagina vaginas vulva xxx
    """
)
"""Words that ask for nudity or sexual content."""

SUGGESTIVE = _listed("aroused lingerie provocative seductive sensual sexualized sexy undressing")
"""Words that are nobody's business among adults, and refused together with minors."""

MINORS = _listed(
    """
    babies baby boy boys child childlike children girl girls infant infants jailbait juvenile kid
    kids kindergartener loli lolita minors newborn paedophilia pedo pedophile pedophilia
    prepubescent preschooler preteen preteens pubescent schoolboy schoolboys schoolgirl
    schoolgirls shota teen teenage teenager teenagers teens toddler toddlers tween tweens underage
    youngster youngsters
    """
)
"""Words for people who are minors, or may be. Adults are `women` and `men`."""

ALWAYS_REFUSED = _listed("lolicon shotacon")
"""Words that mean sexual content with minors all by themselves."""

HARMLESS = (
    "naked mole rats?",
    "naked eye",
    "naked flame",
    "naked cake",
    "nude (?:color|colour)(?:ed)?",
    "nude lipstick",
    "(?:chicken|duck|turkey) breasts",
    "same sex (?:couple|marriage)s?",
)
"""What contains a word of the list and means something else, as regular expressions."""

ADULT_AGE = 18

_DIGITS_AS_LETTERS = str.maketrans("013457@$", "oieastas")
_WORD = re.compile(r"[^\W_]+(?:[@$]+[^\W_]+)*")
_AGE = re.compile(
    r"(\d{1,2}) (?:years?|yrs?|yo|yr)\b(?! (?:later|ago|anniversary))|(\d{1,2})(?:yo|yr)\b"
)
_HARMLESS = re.compile(rf"\b(?:{'|'.join(HARMLESS)})\b")


def check_prompt(prompt: str) -> None:
    """Refuses a prompt that asks for sexual content with minors, whatever the app's settings.

    Raises:
        RenderRefused: It does.
    """
    text = _plain(prompt)
    words = _words(text)
    if words & ALWAYS_REFUSED or (words & (SEXUAL | SUGGESTIVE) and _names_minors(text, words)):
        raise RenderRefused("sexual content with minors is never made, on any setting")


def is_sexual(prompt: str) -> bool:
    """Whether a prompt asks for nudity or sexual content."""
    return bool(_words(_plain(prompt)) & SEXUAL)


def _plain(prompt: str) -> str:
    """Lower case words with single spaces between, harmless phrases taken out."""
    shown = "".join(
        character
        for character in unicodedata.normalize("NFKD", prompt)
        if unicodedata.category(character) not in {"Mn", "Cf"}
    )
    return _HARMLESS.sub(" ", " ".join(_WORD.findall(shown.casefold())))


def _words(text: str) -> frozenset[str]:
    words = text.split()
    spelled = (word.translate(_DIGITS_AS_LETTERS) for word in words if not word.isdigit())
    return frozenset(words).union(spelled)


def _names_minors(text: str, words: frozenset[str]) -> bool:
    ages = (int(found[1] or found[2]) for found in _AGE.finditer(text))
    return bool(words & MINORS) or any(age < ADULT_AGE for age in ages)
