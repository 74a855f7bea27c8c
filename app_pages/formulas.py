"""Formulas: what the article prints, what is wrong with it, and the loss one can take hold of; glossary and questions."""

import streamlit as st

from app_support import lecture, link, predict
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


def matching(beginning, wanted):
    """Give the keys with this beginning in whose entries occurs what is looked for, in either language."""
    titles = [key for key in catalogue() if key.startswith(beginning) and not key.endswith("_text")]
    wanted = wanted.casefold().replace("lambda", "λ")  # not on every keyboard
    texts = {key: [*catalogue()[key].values(), *catalogue()[f"{key}_text"].values()] for key in titles}
    return [key for key in titles if any(wanted in text.casefold() for text in texts[key])]


lecture.heading(say("formulas.title"))
options = {code: say(f"formulas.answer_{code}") for code in ("zero", "equal", "larger")}
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
if not prediction.open:
    st.caption(say("formulas.repairs_locked"))
for name, (printed, repaired) in REPAIRS.items():
    with st.container(border=True):
        left, right = st.columns(2)
        left.caption(say("formulas.as_printed"))
        left.latex(printed)
        if prediction.open:  # what was wrong answers the question
            right.caption(say("formulas.as_repaired"))
            right.latex(repaired)
            st.markdown(say(f"formulas.repair_{name}"))

st.header(say("formulas.words"), anchor=False)
wanted = st.text_input(
    say("formulas.search"), link.given("search"), key="search", max_chars=60, help=say("formulas.search_help")
)
link.write("search", wanted)
terms, questions = matching("formulas.term_", wanted), matching("formulas.ask_", wanted)
if not terms and not questions:
    st.caption(say("formulas.search_nothing", wanted=plain(wanted)))
other = "zh" if language() == "en" else "en"
if terms:
    head = f"| {say('formulas.column_term')} | {say('formulas.column_other')} | {say('formulas.column_text')} |\n|---|---|---|\n"
    rows = [
        f"| **{say(key)}** | {catalogue()[key][other]} | {say(f'{key}_text').replace('|', chr(92) + '|')} |"
        for key in terms
    ]
    st.markdown(head + "\n".join(rows))
for key in questions:
    with st.expander(say(key)):
        st.markdown(say(f"{key}_text"))
st.header(say("formulas.history"), anchor=False)
st.markdown(say("formulas.history_text"))
