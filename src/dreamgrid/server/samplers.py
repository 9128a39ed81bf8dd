"""The many spellings of samplers and schedules, and the choice that a model offers among them.

Clients send display names or aliases, in any case; inside dreamgrid only aliases exist. Source:
`job-request.md` 7 of the wire contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from dreamgrid.errors import InvalidRequest
from dreamgrid.server.catalog_entries import StringChoice

SAMPLER_ALIASES = {
    "Euler": "euler",
    "Euler a": "euler_a",
    "Euler Ancestral": "euler_ancestral",
    "Heun": "heun",
    "DPM++ 2M": "dpmpp_2m",
    "DPM++ 2M SDE": "dpmpp_2m_sde",
    "DPM++ SDE": "dpmpp_sde",
    "DPM++ 3M SDE": "dpmpp_3m_sde",
    "UniPC": "uni_pc",
    "LCM (Latent Consistency Model)": "lcm",
    "LMS": "lms",
    "DPM 2": "dpm_2",
    "DPM 2 Ancestral": "dpm_2_ancestral",
    "DPM Fast": "dpm_fast",
    "DPM Adaptive": "dpm_adaptive",
    "DPM++ 2S Ancestral": "dpmpp_2s_ancestral",
    "DDPM": "ddpm",
    "Discrete Flow Sampler (SD3)": "dfs_sd3",
    "Discrete Flow Scheduler (SD3)": "dfs_sd3",
    "DPM Solver Multistep (DPM-Solver++)": "dpm_pp",
    "PNDM (Pseudo-linear multi-step)": "pndm_plms",
}

SAME_SAMPLER = {"euler_a": "euler_ancestral", "dpm_pp": "dpmpp_2m"}
"""Two names of one algorithm each: a model that offers one of them understands the other."""

SCHEDULER_ALIASES = {
    "Simple": "simple",
    "Normal": "normal",
    "Karras": "karras",
    "Exponential": "exponential",
    "SGM Uniform": "sgm_uniform",
    "DDIM Uniform": "ddim_uniform",
    "Beta": "beta",
    "Linear Quadratic": "linear_quadratic",
    "KL Optimal": "kl_optimal",
    "DDIM": "ddim",
    "Leading": "leading",
    "Linear": "linear",
}


@dataclass(frozen=True, kw_only=True)
class NameChoice:
    """What a model offers for one named setting.

    Attributes:
        setting: `sampler` or `scheduler`, for messages.
        allowed: Names as the tier spells them.
        default: Alias of the default.
        alias_of: Every accepted spelling, folded, to its alias.
    """

    setting: str
    allowed: tuple[str, ...]
    default: str
    alias_of: Mapping[str, str]

    def pick(self, name: str | None) -> str:
        """The alias of `name`; None and blank mean the default.

        Raises:
            InvalidRequest: The model does not offer it.
        """
        if name is None or not name.strip():
            return self.default
        alias = self.alias_of.get(_fold(name))
        if alias is None:
            raise InvalidRequest(
                f"{self.setting} {name[:64]!r} is not offered by this model: "
                f"choose one of {', '.join(self.allowed)}"
            )
        return alias


@cache  # many models share a tier
def sampler_choice(choice: StringChoice | None) -> NameChoice | None:
    """The samplers that a tier offers. None: it offers no choice."""
    return None if choice is None else choice_of("sampler", choice, SAMPLER_ALIASES)


@cache
def scheduler_choice(choice: StringChoice | None) -> NameChoice | None:
    """The noise schedules that a tier offers. None: it offers no choice."""
    return None if choice is None else choice_of("scheduler", choice, SCHEDULER_ALIASES)


def choice_of(setting: str, choice: StringChoice, aliases: Mapping[str, str]) -> NameChoice:
    """The choice that a tier describes; a name that has no alias stands for itself."""
    known = {_fold(name): alias for name, alias in aliases.items()}
    alias_of: dict[str, str] = {}
    for name in choice.allowed:
        alias = known.get(_fold(name), name)
        spellings = [display for display, other in aliases.items() if other == alias]
        alias_of.update({_fold(spelling): alias for spelling in (name, alias, *spellings)})
    for one, other in (*SAME_SAMPLER.items(), *((b, a) for a, b in SAME_SAMPLER.items())):
        if other in alias_of and one not in alias_of:
            spellings = [display for display, alias in aliases.items() if alias == one]
            alias_of.update({_fold(spelling): alias_of[other] for spelling in (one, *spellings)})
    return NameChoice(
        setting=setting,
        allowed=choice.allowed,
        default=alias_of[_fold(choice.default)],
        alias_of=alias_of,
    )


def _fold(name: str) -> str:
    return name.strip().casefold()
