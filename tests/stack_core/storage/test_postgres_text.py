"""How PostgreSQL's statements keep text: NUL included, in the order of code points. No server is needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stack_core.storage._postgres_text import text
from stack_core.storage._sql_text import Found
from stack_core.storage.sql import Column, Table, Where

ROWS = Table("rows", (Column("id", "text", primary=True), Column("age", "integer")), indexes=(("age", "id"),))
ODD = st.text(st.sampled_from("\0\1\2\3ab\U0010ffff"), max_size=8)


def kept(value: str) -> str:
    return str(text.encode(ROWS.columns[0], value))


@given(ODD)
def test_a_kept_text_has_no_nul_and_comes_back(value: str) -> None:
    assert "\0" not in kept(value)
    assert text.decode(ROWS, [(kept(value), None)]) == [{"id": value, "age": None}]


@given(ODD, ODD)
def test_order_and_prefixes_stay_as_they_were(one: str, two: str) -> None:
    assert (kept(one) < kept(two)) == (one < two)
    assert kept(one + two).startswith(kept(one))


def test_null_is_first_and_the_index_agrees() -> None:
    query, values = text.select(ROWS, [Where("age", "in", [1, 2])], [("age", "desc"), ("id", "asc")], 5, 2)
    assert query == (
        'SELECT "id", "age" FROM "rows" WHERE "age" = ANY($1) '
        'ORDER BY "age" DESC NULLS LAST, "id" ASC LIMIT $2 OFFSET $3'
    )
    assert values == [[1, 2], 5, 2]
    create, index = text.upgrade(ROWS, Found(), "here")
    assert create == 'CREATE TABLE "rows" ("id" TEXT COLLATE "C" NOT NULL, "age" BIGINT, PRIMARY KEY ("id"))'
    assert index == 'CREATE INDEX "rows_age_id" ON "rows" ("age" ASC NULLS FIRST, "id" ASC)'
    assert text.upgrade(ROWS, Found(True, 1, {"rows_age_id"}), "here") == []


def test_of_rows_that_replace_each_other_the_last_is_sent_in_one_order() -> None:
    rows = [{"id": "b", "age": 1}, {"id": "a"}, {"id": "b", "age": 2}]
    assert text.encode_columns(ROWS, rows, replace=True) == [["a", "b"], [None, 2]]
    assert text.encode_columns(ROWS, rows, replace=False) == [["b", "a", "b"], [1, None, 2]]
