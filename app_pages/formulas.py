"""Formulas: what the article prints, what is wrong with it, and the loss one can take hold of; glossary and questions."""

import streamlit as st

from app_support import lecture, predict
from app_support.loss_lab import EXAMPLES, loss_lab
from app_support.simple_controls import choice
from app_support.words import catalogue, language, plain, say

REPAIRS = {
    "soft": (
        r"P_{soft}(y \mid x) = \frac{\exp(T(x))}{\sum_{j=1}^{C} \exp(T(x))}",
        r"p_T(c \mid x) = \frac{\exp(z_c(x) / T)}{\sum_{j=1}^{C} \exp(z_j(x) / T)}",
    ),
    "cross_entropy": (
        r"L_{ce} = -\sum_{n=1}^{N} \sum_{c=1}^{C} y_{n,c} \log P_{soft}(c \mid x_n)",
        r"\mathrm{CE} = -\frac{1}{N} \sum_{n=1}^{N} \sum_{c=1}^{C} y_{n,c} \log p^{student}_1(c \mid x_n)",
    ),
    "total": (
        r"L_{total} = L_{ce} + \lambda L_f",
        r"L = (1 - \lambda)\,\mathrm{CE} + \lambda\,T^2\,\mathrm{KL}\!\left(p^{teacher}_T \,\|\, p^{student}_T\right)"
        r" + \lambda_f L_f",
    ),
}


def entries(kind):
    """Give the entries of a kind, as pairs of their key and its rest."""
    names = [key.removeprefix("formulas.") for key in catalogue() if key.startswith(f"formulas.{kind}_")]
    return [name for name in names if not name.endswith("_text")]


def matching(names, wanted):
    """Keep the entries in which what is looked for occurs, in either language."""
    texts = {
        name: [*catalogue()[f"formulas.{name}"].values(), *catalogue()[f"formulas.{name}_text"].values()]
        for name in names
    }
    return [name for name in names if any(wanted.casefold() in text.casefold() for text in texts[name])]


lecture.heading(say("formulas.title"))
options = {code: say(f"formulas.{code}") for code in ("zero", "equal", "larger")}
prediction = predict.ask("formulas", say("formulas.question"), options)
# By mathematics: the student does not occur in the formula.
predict.compare("formulas", prediction, options, "zero", say("formulas.explanation"))

chosen = choice(
    st.segmented_control,
    "case",
    say("formulas.case"),
    list(EXAMPLES),
    "learns",
    say("formulas.case_help"),
    words=lambda name: say(f"formulas.case_{name}"),
    required=True,
)
loss_lab(EXAMPLES[chosen], locked=not prediction.open)

st.header(say("formulas.repairs"), anchor=False)
for name, (printed, repaired) in REPAIRS.items():
    with st.container(border=True):
        left, right = st.columns(2)
        left.caption(say("formulas.as_printed"))
        left.latex(printed)
        right.caption(say("formulas.as_repaired"))
        right.latex(repaired)
        st.markdown(say(f"formulas.repair_{name}"))

st.header(say("formulas.words"), anchor=False)
wanted = st.text_input(say("formulas.search"), key="search", help=say("formulas.search_help"))
terms, questions = matching(entries("term"), wanted), matching(entries("ask"), wanted)
if not terms and not questions:
    st.caption(say("formulas.search_nothing", wanted=plain(wanted)))
other = "zh" if language() == "en" else "en"
if terms:
    head = f"| {say('formulas.column_term')} | {say('formulas.column_other')} | {say('formulas.column_text')} |\n|---|---|---|\n"
    rows = [
        f"| **{say(f'formulas.{name}')}** | {catalogue()[f'formulas.{name}'][other]} "
        f"| {say(f'formulas.{name}_text').replace('|', chr(92) + '|')} |"
        for name in terms
    ]
    st.markdown(head + "\n".join(rows))
for name in questions:
    with st.expander(say(f"formulas.{name}")):
        st.markdown(say(f"formulas.{name}_text"))
st.header(say("formulas.history"), anchor=False)
st.markdown(say("formulas.history_text"))
