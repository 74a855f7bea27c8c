"""The controls that pages share. The address holds what each of them shows, and can hide each of them (``link.py``)."""

import os
from typing import TYPE_CHECKING

import streamlit as st

from app_support import own_data, resources
from app_support.experiments import scenario_in_words
from app_support.simple_controls import as_text, choice, number
from app_support.tasks import Task
from app_support.words import say
from toolkit import machine, models, scenarios

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

TEMPERATURES = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
PENALTIES = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1)


def group(title: str, icon: str) -> "DeltaGenerator":
    """Give a framed group of controls with its title."""
    box = st.container(border=True)
    box.markdown(f":material/{icon}: **{title}**")
    return box


# ---- Groups of them ------------------------------------------------------------------------------------------


def given() -> tuple[str, str, tuple[tuple[str, float], ...]]:
    """Ask what the student is given: data set, scenario and its parameter."""
    uploaded = own_data.ask()
    names = [*resources.names(), *uploaded]
    name = choice(
        st.selectbox, "task", say("controls.data"), names, names[0], say("controls.data_help"), words=resources.title
    )
    known = scenarios.names()
    scenario = choice(
        st.selectbox,
        "scenario",
        say("controls.scenario"),
        known,
        "small-transfer-set",
        say("controls.scenario_help"),
        words=lambda code: say(f"scenario.{code}"),
    )
    return name, scenario, _parameter(name, scenario)


def _parameter(name: str, scenario: str) -> tuple[tuple[str, float], ...]:
    dataset = resources.dataset(name)
    usual = dict(resources.usual_parameters(dataset)[scenario])
    if scenario == "few-labels":
        most = min(50, int(dataset.y_train.bincount().min()))
        return (("labels_per_class", _whole("labels", 1, most, usual["labels_per_class"])),)
    if scenario == "noisy-labels":
        label, help_text = say("controls.noise"), say("controls.noise_help")
        return (("noise", float(number(st.slider, "noise", label, 0.0, 0.9, usual["noise"], 0.05, help_text))),)
    if scenario == "class-left-out":
        classes, help_text = range(dataset.classes), say("controls.left_out_help")
        named = dataset.class_names.__getitem__
        label, default = say("controls.left_out"), usual["left_out"]
        return (("left_out", choice(st.selectbox, "left_out", label, classes, default, help_text, words=named)),)
    if scenario == "small-transfer-set":
        return (("examples", _whole("examples", 20, min(2000, len(dataset.y_train)), usual["examples"])),)
    return ()


def _whole(name: str, low: int, high: int, default: float) -> int:
    label, help_text = say(f"controls.count_{name}"), say(f"controls.count_{name}_help")
    if low >= high:
        return high
    return int(number(st.slider, name, label, low, high, int(default), 1, help_text))


def temperature(default: float) -> float:
    """Ask for T."""
    label, help_text = say("controls.temperature"), say("controls.temperature_help")
    return float(choice(st.select_slider, "t", label, TEMPERATURES, default, help_text, words=as_text))


def lam() -> float:
    """Ask for λ."""
    label, help_text = say("controls.lam"), say("controls.lam_help")
    return round(float(number(st.slider, "lam", label, 0.0, 1.0, 0.9, 0.05, help_text)), 10)


def penalty() -> tuple[float, str]:
    """Ask for the complexity term: λ_f, and L1 or L2."""
    label, help_text = say("controls.penalty"), say("controls.penalty_help")
    weight = choice(st.select_slider, "penalty", label, PENALTIES, 0.0, help_text, words=as_text)
    label, help_text = say("controls.norm"), say("controls.norm_help")
    norm = choice(st.segmented_control, "norm", label, ("l2", "l1"), "l2", help_text, words=str.upper, required=True)
    return float(weight), norm


def cost(dataset_name: str) -> tuple[str, int, int, int]:
    """Ask what the student may cost: its size, epochs, and seeds."""
    dataset = resources.dataset(dataset_name)
    names = [name for name in models.names("student") if dataset.kind != "table" or not name.startswith("cnn")]
    student = choice(st.selectbox, "size", say("controls.size"), names, "mlp-64", say("controls.size_help"))
    parameters = models.count_parameters(models.build(student, dataset, 0))
    st.caption(say("controls.parameters", count=f"{parameters:,}", machine=_machine()))
    epochs = number(st.slider, "epochs", say("controls.epochs"), 1, 300, 100, 1, say("controls.epochs_help"))
    seeds = number(st.slider, "seeds", say("controls.seeds"), 1, 20, 5, 1, say("controls.seeds_help"))
    label, help_text = say("controls.first_seed"), say("controls.first_seed_help")
    first_seed = number(st.number_input, "seed", label, 0, 9999, 0, 1, help_text)
    return student, int(epochs), int(seeds), int(first_seed)


def _machine() -> str:
    """Name what trains: the toolkit's own words are English."""
    name = machine.describe()
    return say("controls.processor", cores=os.cpu_count()) if name.startswith("processor") else name


def sentence(task: Task) -> str:
    """Say as a sentence what the student is given."""
    words = scenario_in_words(task)
    return f"{words[:1].upper()}{words[1:]}{say('controls.full_stop')}"


def make_task(
    given_: tuple[str, str, tuple[tuple[str, float], ...]],
    penalty_: tuple[float, str],
    cost_: tuple[str, int, int, int],
) -> Task:
    """Put the groups of controls together."""
    dataset, scenario, parameter = given_
    weight, norm = penalty_
    if not weight:
        norm = "l2"  # changes nothing, so it is the same task
    student, epochs, seeds, first_seed = cost_
    return Task(dataset, scenario, parameter, student, weight, norm, epochs, seeds, first_seed)
