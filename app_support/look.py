"""The look that pages and charts share: the three colours of ``toolkit.plots`` (a test compares them), more for earlier runs, and one text size.

They stand here once more because importing matplotlib would delay the first picture by half a second.
"""

TEACHER, ALONE, DISTILLED = "#0072B2", "#767676", "#D55E00"
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")  # earlier runs
TEXT_SIZE = 18  # pixels, about 14 pt: readable on a wall


def percent(share: float) -> str:
    """Write a share: "99.2 %".

    >>> percent(0.992), percent(0.0), percent(0.0001)
    ('99.2 %', '0.0 %', '< 0.1 %')
    """
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"
