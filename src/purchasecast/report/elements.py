"""Elements of a page, as plain values for the template."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Action",
    "Block",
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
    "Summary",
    "Table",
    "Tile",
    "Tiles",
]


@dataclass(frozen=True, slots=True)
class Action:
    """A decision in one sentence, its gain, what the gain is, how it was checked, and the id of the finding's card."""

    text: str
    amount: str
    stake: str
    checked: str
    card: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A few sentences for the top of the page."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One number with its label, and a note that puts it in context."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. The columns after the first `names` hold numbers and are aligned right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its message as the title, and its numbers as a table for readers who do not see the chart."""

    title: str
    svg: str
    table: Table | None = None
    note: str = ""
    kind: str = "figure"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence, such as why a part is missing; `tone` is ``plain`` or ``warning``."""

    text: str
    tone: str = "plain"
    kind: str = "note"


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles side by side."""

    tiles: tuple[Tile, ...]
    kind: str = "tiles"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Stages:
    """The steps of the pipeline, in order."""

    stages: tuple[Stage, ...]
    kind: str = "stages"


@dataclass(frozen=True, slots=True)
class Fold:
    """Tables that the reader can open."""

    summary: str
    tables: tuple[Table, ...]
    kind: str = "fold"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    title: str
    kind: str = "heading"


@dataclass(frozen=True, slots=True)
class Related:
    """A finding that shares its chart with another finding."""

    id: str
    claim: str
    facts: tuple[str, ...]
    action: str


@dataclass(frozen=True, slots=True)
class Card:
    """A finding with its facts, action, method, limits and chart, and other findings that share the chart."""

    id: str
    claim: str
    facts: tuple[tuple[str, str], ...]
    action: str
    method: str
    caveat: str
    figure: Figure | None = None
    related: tuple[Related, ...] = ()
    kind: str = "card"


#: Anything that a section may contain; the template draws each by its `kind`.
Block = Figure | Table | Note | Tiles | Stages | Fold | Heading | Card


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading and an introduction."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page. Summaries, actions and tiles are what a manager reads first."""

    title: str
    subtitle: str
    summaries: tuple[Summary, ...]
    actions: tuple[Action, ...]
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    footer: str
