"""The TOML file of a draft: it says what the schema says, whatever the names."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drafting.drafts import drafted
from tests.drafting.shops import SHOPS

from purchasecast.drafting import SchemaDraft
from purchasecast.drafting.toml_text import schema_text
from purchasecast.results import ValidationReport
from purchasecast.schema import Column, Schema, load_schema


def is_a_name(text: str) -> bool:
    return text == text.strip() and not text.casefold().startswith("_pc_") and text.casefold() != "reasons"


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(is_a_name)


@given(names, names, st.text(st.characters(exclude_categories=("Cs",)), max_size=200))
def test_any_name_and_any_reason_round_trip(one: str, other: str, reason: str) -> None:
    if one.casefold() == other.casefold() or other == "amount":
        return
    schema = Schema(
        name="shop",
        title="A shop",
        columns=(
            Column(one, "nominal", type="integer", domain=("1", "22"), of="product"),
            Column("amount", "numeric", role="target", minimum=-1.5e300),
            Column("on", "date", minimum=date(2020, 1, 31), calendar=("year",)),
        ),
        ignore=(other, ""),
        money="€",
        csv={"sep": "\t", "decimal": ","},
    )
    if len({name.casefold() for name in (*schema.names, other)}) < 4:
        return
    text = schema_text(schema, heading=[reason], reasons={one: [reason], other: [reason]}, questions=[(one, reason)])
    assert Schema.from_dict(tomllib.loads(text)) == schema


@pytest.mark.parametrize("name", SHOPS)
def test_drafts_round_trip(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    draft = drafted(name)
    path = tmp_path_factory.mktemp("draft") / f"{name}.toml"
    path.write_text(draft.to_toml(), encoding="utf-8")
    assert load_schema(path) == draft.schema
    assert SchemaDraft.from_dict(draft.to_dict()) == draft


def test_the_file_tells_reasons_questions_and_the_validation() -> None:
    draft = drafted("spanish")
    tried = SchemaDraft.from_dict(
        {**draft.to_dict(), "validation": ValidationReport(100, 98, 2, {"Importe: negative": 2}).to_dict()}
    )
    text = tried.to_toml()
    assert "# With this schema 98 rows are accepted and 2 rejected (2.00%).\n#   2 rows: Importe: negative\n" in text
    assert '"Precio",  # Importe is Precio x Cantidad' in text
    assert "# QUESTION: Importe is Precio x Cantidad" in text
    assert "[columns.Edad]\n# ordinal: its levels have an order\n# always the same within a Cliente\n" in text
