"""The page about domains says what happens."""

import ast
from collections.abc import Callable
from typing import Any


def test_the_page_runs(run_page: Callable[[str], Any]) -> None:
    page = run_page("domains.md")
    assert page.n_blocks == 6
    assert {item for item, _ in page.scope["model"].recommend(page.scope["read"], k=3)}
    first = ast.literal_eval(page.lines[-4])
    alone = ast.literal_eval(page.lines[-3])
    # What is known from books ranks films better than their popularity does.
    assert first[0] > alone[0]
    assert page.lines[-6] == "['user', 'book', 'film']"
    # Chance is .016 there.
    assert float(page.lines[-2]) > 0.02
    # A crime drama for who likes such films is well above the middle of all.
    place, n_films = map(int, page.lines[-1].split(" of "))
    assert place < n_films / 4
