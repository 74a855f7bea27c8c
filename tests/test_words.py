"""The catalogue: every key that is said exists, in every language, with the same values; and none is left over."""

import re
import string
from pathlib import Path

import pytest

from app_support import charts, words
from app_support.experiments import TINY
from toolkit import files, scenarios

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "app.py", *(ROOT / "app_pages").glob("*.py"), *(ROOT / "app_support").glob("*.py")]
SOURCE = "\n".join(path.read_text("utf-8") for path in SOURCES)


def values_of(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", words.catalogue())
def test_every_entry_is_there_in_every_language_with_the_same_values(key):
    entry = words.catalogue()[key]
    assert set(entry) == set(words.LANGUAGES)
    assert all(text.strip() for text in entry.values())
    assert len({frozenset(values_of(text)) for text in entry.values()}) == 1 or key.startswith("refused.")


def test_chinese_is_chinese():
    english = {key for key, entry in words.catalogue().items() if not re.search("[\u4e00-\u9fff]", entry["zh"])}
    assert english <= {"distil.advice_and", "controls.full_stop", "formulas.true_class", "distil.all_row"}


LITERAL = set(re.findall(r'["\']([a-z_]+\.[A-Za-z_ -]+)["\']', SOURCE))
FILES = {key.split(".")[0] for key in words.catalogue()}
PATTERNS = {
    pattern
    for pattern in re.findall(r'f["\']([a-z_]+\.[^"\']*\{[^"\']+)["\']', SOURCE)
    if pattern.split(".")[0] in FILES
}
# Where a whole file is a table, the key alone says which entry is meant: these are the entries that it can be.
TABLES = {
    "scenario.{}": {*scenarios.names(), TINY},
    "scenario.{}_sentence": set(scenarios.names()),
    "chart.{}": set(charts._DASHES),
    "refused.{}": set(files.REASONS),
}


def keys_of(pattern):
    """The keys that an f-string can say."""
    shape = re.sub(r"\{[^}]*\}", "{}", pattern)
    if shape in TABLES:
        return {shape.format(name) for name in TABLES[shape]}
    assert not shape.split(".", 1)[1].startswith("{"), f"{pattern} could say anything: begin it with a word"
    form = re.compile(re.escape(shape).replace(r"\{\}", "[A-Za-z0-9_-]+"))
    return {key for key in words.catalogue() if form.fullmatch(key)}


def test_every_key_that_is_said_exists():
    said = set(re.findall(r'(?:say|template)\(\s*["\']([a-z_]+\.[^"\']+)["\']', SOURCE))
    assert said <= set(words.catalogue()), said - set(words.catalogue())
    for pattern in PATTERNS:
        assert keys_of(pattern), pattern
        assert keys_of(pattern) <= set(words.catalogue())


def test_no_entry_is_left_over():
    said = LITERAL.union(*(keys_of(pattern) for pattern in PATTERNS))
    beginnings = tuple(text for text in LITERAL if text.endswith("_"))  # all that begin so are said
    assert {key for key in set(words.catalogue()) - said if not key.startswith(beginnings)} == set()
