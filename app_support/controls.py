"""The controls that *Distil* and *Surface* share. Their values live in the URL, under the same names on both pages."""

import streamlit as st

from app_support import resources
from app_support.experiments import Task
from toolkit import machine, models, scenarios

# A link holds what a control shows: hence names as the toolkit has them, without words around them.
TEMPERATURES = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
PENALTIES = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1)


def group(title: str, icon: str) -> "st.delta_generator.DeltaGenerator":
    """Give a framed group of controls with its title."""
    box = st.container(border=True)
    box.markdown(f":material/{icon}: **{title}**")
    return box


def _keep_within(key: str, low: float, high: float) -> None:
    """Move a remembered value into the range that another control now allows."""
    value = st.session_state.get(key)
    if isinstance(value, int | float) and not low <= value <= high:
        st.session_state[key] = type(value)(min(max(value, low), high))


def keep_among(key: str, options: list[str]) -> None:
    """Forget a remembered choice that another control no longer allows."""
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]


def given() -> tuple[str, str, tuple[tuple[str, float], ...]]:
    """Ask what the student is given: data set, scenario and its parameter."""
    name = st.selectbox(
        "Data set",
        resources.names(),
        key="task",
        bind="query-params",
        help="Only what is on this machine is listed. mnist1d is synthetic, the others are real.",
    )
    scenario = st.selectbox(
        "Scenario",
        scenarios.names(),
        index=scenarios.names().index("small-transfer-set"),
        key="scenario",
        bind="query-params",
        help="What the student learns from. The teacher has always seen the whole, clean training part.",
    )
    parameter = _parameter(name, scenario)
    sentence = scenarios.get(scenario, **dict(parameter)).sentence
    st.caption(f"{sentence[:1].upper()}{sentence[1:]}.")
    return name, scenario, parameter


def _parameter(name: str, scenario: str) -> tuple[tuple[str, float], ...]:
    dataset = resources.dataset(name)
    if scenario == "few-labels":
        most = min(50, int(dataset.y_train.bincount().min()))
        help_text = "The other examples come without a label."
        return (("labels_per_class", _whole("Labels per class", "labels", 1, most, 5, help_text)),)
    if scenario == "noisy-labels":
        noise = st.slider(
            "Share of wrong labels",
            0.0,
            0.9,
            0.4,
            0.05,
            key="noise",
            bind="query-params",
            help="Drawn anew for each seed.",
        )
        return (("noise", float(noise)),)
    if scenario == "class-left-out":
        last = dataset.classes - 1
        help_text = f"Its number, 0 to {last}. The student never sees an example of it."
        return (("left_out", _whole("Class left out", "left_out", 0, last, 3, help_text)),)
    if scenario == "small-transfer-set":
        most = min(2000, len(dataset.y_train))
        help_text = "How many training examples the student gets, drawn anew for each seed."
        return (("examples", _whole("Examples", "examples", 20, most, 200, help_text)),)
    return ()


def _whole(label: str, key: str, low: int, high: int, value: int, help_text: str) -> int:
    _keep_within(key, low, high)
    chosen = st.slider(label, low, high, min(value, high), 1, key=key, bind="query-params", help=help_text)
    return int(chosen)


def penalty() -> tuple[float, str]:
    """Ask for the complexity term: λ_f, and L1 or L2."""
    weight = st.select_slider(
        "Complexity weight λ_f",
        PENALTIES,
        format_func=lambda value: f"{value:g}",
        key="penalty",
        bind="query-params",
        help="Weight of the article's complexity term: total loss = loss + λ_f · L_f. 0 switches it off.",
    )
    norm = st.segmented_control(
        "Complexity term L_f",
        ["l2", "l1"],
        default="l2",
        required=True,
        key="norm",
        bind="query-params",
        help="l2: Σ w², keeps all weights small. l1: Σ |w|, drives many to zero. Without effect while λ_f is 0.",
    )
    return float(weight), norm or "l2"


def cost(dataset_name: str) -> tuple[str, int, int]:
    """Ask what the student may cost: its size, epochs, and seeds."""
    dataset = resources.dataset(dataset_name)
    names = [name for name in models.names("student") if dataset.kind != "table" or not name.startswith("cnn")]
    keep_among("size", names)
    student = st.selectbox(
        "Student",
        names,
        index=names.index("mlp-64"),
        key="size",
        bind="query-params",
        help="mlp-32: one hidden layer of 32. cnn-8: convolutions of 8 channels, slower to train.",
    )
    parameters = models.count_parameters(models.build(student, dataset, 0))
    st.caption(f"{parameters:,} parameters. Trains on this {machine.describe()}.")
    epochs = st.slider(
        "Epochs",
        1,
        300,
        100,
        key="epochs",
        bind="query-params",
        help="How often the student sees each of its examples.",
    )
    seeds = st.slider(
        "Seeds",
        1,
        20,
        5,
        key="seeds",
        bind="query-params",
        help="How often everything is repeated with other first weights, batches and draws. More seeds: a narrower interval.",
    )
    return student, int(epochs), int(seeds)


def make_task(
    given_: tuple[str, str, tuple[tuple[str, float], ...]], penalty_: tuple[float, str], cost_: tuple[str, int, int]
) -> Task:
    """Put the groups of controls together."""
    dataset, scenario, parameter = given_
    weight, norm = penalty_
    student, epochs, seeds = cost_
    return Task(
        dataset=dataset,
        scenario=scenario,
        parameter=parameter,
        student=student,
        penalty_weight=weight,
        norm=norm,
        epochs=epochs,
        seeds=seeds,
    )
