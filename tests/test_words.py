"""The catalogue: every key that is said exists, in every language, with the same values; and none is left over."""

import re
import string
from pathlib import Path

import pytest

from app_support import words

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


def test_every_key_that_is_said_exists():
    said = set(re.findall(r'(?:say|template)\(\s*["\']([a-z_]+\.[^"\']+)["\']', SOURCE))
    assert said <= set(words.catalogue()), said - set(words.catalogue())
    patterns = re.findall(r'(?:say|template)\(\s*f"([a-z_]+\.[^"]+)"', SOURCE)
    for pattern in patterns:
        form = re.compile(re.sub(r"\\{[^}]*\\}", ".+", re.escape(pattern)))
        assert any(form.fullmatch(key) for key in words.catalogue()), pattern


def test_no_entry_is_left_over():
    literal = set(re.findall(r'["\']([a-z_]+\.[A-Za-z_ -]+)["\']', SOURCE))
    patterns = re.findall(r'f"([a-z_]+\.[^"]*\{[^"]+)"', SOURCE)
    forms = [re.compile(re.sub(r"\\{[^}]*\\}", ".+", re.escape(pattern))) for pattern in patterns]
    left_over = [
        key for key in words.catalogue() if key not in literal and not any(form.fullmatch(key) for form in forms)
    ]
    assert left_over == []
