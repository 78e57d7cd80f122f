"""What a scenario is: a question, its contenders, the figures of a round, claims about them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One side of a comparison; `peer`: it runs in the peers' interpreter."""

    name: str
    script: str
    peer: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    max_rounds: int = 1_000  # of one that is too slow to be run five times
    needs: str = ""  # package without which it is left out
    timeout_s: int = 900  # a round that takes longer is ended, and the contender left out


@dataclass(frozen=True)
class Figure:
    """A number that a round yields, and how the table writes it."""

    name: str
    title: str
    form: str = "{:,.2f}"

    def write(self, figures: dict[str, float]) -> str:
        """The number as text; a yardstick need not yield every figure of its scenario."""
        return self.form.format(figures[self.name]) if self.name in figures else "-"


@dataclass(frozen=True)
class Claim:
    """Tiffin's figure, or its ratio to the best of `against`, is at most `bound`.

    `of`: another contender than the one named Tiffin. `allowance`: taken off Tiffin's figure before
    (a start-up that has nothing to do with the data); `beyond`: a contender whose figure is taken
    off, too. A bound of infinity claims nothing: the number is shown.
    """

    text: str
    figure: str
    bound: float
    against: tuple[str, ...] = ()
    of: str = "Tiffin"
    unit: str = ""
    allowance: float = 0.0
    beyond: str = ""


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    about: str  # one paragraph; {n_source} and the like are the sizes of the data
    data: tuple[str, ...]  # files of data.py that it needs
    contenders: tuple[Contender, ...]
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...] = ()


CALL = (
    Figure("seconds", "seconds"),
    Figure("cpu", "core seconds"),
    Figure("before_mb", "MB before", "{:,.0f}"),
    Figure("peak_mb", "MB peak", "{:,.0f}"),
)
