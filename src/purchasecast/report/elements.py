"""What a page is made of: sections of figures, tables, tiles and cards, as plain values for the template."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Action",
    "Brief",
    "Card",
    "Figure",
    "Fold",
    "Heading",
    "Note",
    "Page",
    "Related",
    "Section",
    "Stage",
    "Stages",
    "Table",
    "Tile",
    "Tiles",
]


@dataclass(frozen=True, slots=True)
class Action:
    """What to do, the money that it is about and what that money is, and the card that says why."""

    text: str
    amount: str
    stake: str
    card: str


@dataclass(frozen=True, slots=True)
class Brief:
    """A few plain sentences for the first screen."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One number for the first look: what it is, how much, and what to compare it with."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; columns after the first `names` hold numbers and are set to the right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture whose title says the finding, with its numbers as a table for those who do not see it."""

    title: str
    svg: str
    table: Table | None = None
    note: str = ""
    kind: str = "figure"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence, such as why a part is not there; `tone` is ``plain`` or ``warning``."""

    text: str
    tone: str = "plain"
    kind: str = "note"


@dataclass(frozen=True, slots=True)
class Tiles:
    """Numbers side by side."""

    tiles: tuple[Tile, ...]
    kind: str = "tiles"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Stages:
    """The pipeline, first step first."""

    stages: tuple[Stage, ...]
    kind: str = "stages"


@dataclass(frozen=True, slots=True)
class Fold:
    """Tables that open on demand."""

    summary: str
    tables: tuple[Table, ...]
    kind: str = "fold"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section."""

    title: str
    kind: str = "heading"


@dataclass(frozen=True, slots=True)
class Related:
    """A finding that another one's picture shows too."""

    id: str
    claim: str
    facts: tuple[str, ...]
    action: str


@dataclass(frozen=True, slots=True)
class Card:
    """A finding: the claim, the number behind it, what to do, what it does not say, and what its picture shows too."""

    id: str
    claim: str
    facts: tuple[tuple[str, str], ...]
    action: str
    method: str
    caveat: str
    figure: Figure | None = None
    related: tuple[Related, ...] = ()
    kind: str = "card"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading."""

    id: str
    title: str
    lead: str
    blocks: tuple[Figure | Table | Note | Tiles | Stages | Fold | Heading | Card, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page; briefs, actions and tiles are what a manager reads first."""

    title: str
    subtitle: str
    briefs: tuple[Brief, ...]
    actions: tuple[Action, ...]
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    footer: str
