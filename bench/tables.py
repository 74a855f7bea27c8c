"""Rows of a table, and how they are written as Markdown."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """Two arms and their paired difference; what was claimed of it, and whether that holds (None: nothing claimed)."""

    scenario: str
    setting: str
    alone: str
    distilled: str
    difference: str
    verdict: str
    claim: str = ""
    holds: bool | None = None


def markdown(rows: list[Row]) -> str:
    """Write rows as a Markdown table, one column per field."""
    lines = ["| " + " | ".join(asdict(rows[0])) + " |", "|" + "---|" * len(asdict(rows[0]))]
    words = {True: "yes", False: "NO", None: ""}
    for row in rows:
        values = [words[value] if value is None or isinstance(value, bool) else value for value in asdict(row).values()]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines)
