"""The parts of *Methods and scenes* that show stored results: the methods, what accuracy costs, and the scenes."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import streamlit as st

from app_support import charts, downloads, exports, lecture, method_runs, predict, scenes
from app_support.experiments import outcome, points
from app_support.look import percent
from app_support.scenes import MethodRow, Results, SizeRow, difference
from app_support.simple_controls import choice
from app_support.words import catalogue, say
from toolkit import metrics

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

PAGE = "methods_and_scenes"
ANSWERS = ("none", "half", "most")
_AT_ONCE = 20  # rows of a table
_TIMES = ("latency", "p95")
_VERDICTS = {"above": "better", "below": "worse", "same": "same"}


def _count(rows: Sequence[Any]) -> dict[str, int]:
    """Count the verdicts of rows."""
    said = [verdict(row) for row in rows]
    return {name: said.count(name) for name in ("better", "worse", "same")}


def verdict(row: Any) -> str:
    """Give "better", "worse", "same", or "reference" where a row was compared with nothing."""
    found = difference(row)
    return "reference" if found is None else _VERDICTS[outcome(found)]


def _points_of(row: Any) -> str | None:
    found = difference(row)
    return None if found is None else points(found)


def _share(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _about(words: str) -> str:
    """Pass on what the stored file says of itself, in English."""
    return say("scenes.about", words=words.rstrip("."))


def _per_cents(*columns: str) -> dict[str, Any]:
    return {column: st.column_config.NumberColumn(format="%.1f %%") for column in columns}


def _table(rows: list[dict[str, Any]], *, alt: str, per_cents: Sequence[str] = (), short: Sequence[str] = ()) -> None:
    """Show rows by the names that the catalogue has for their columns."""
    height: Literal["content", "auto"] = "content" if len(rows) <= _AT_ONCE else "auto"  # which scrolls
    titles = {name: say(f"scenes.column_{name}") for name in rows[0]}
    looks = _per_cents(*(titles[name] for name in per_cents))
    looks |= {titles[name]: st.column_config.NumberColumn(format="%.3g") for name in short}
    looks |= {titles[name]: st.column_config.NumberColumn(format="localized") for name in rows[0] if name == "bytes"}
    table = pd.DataFrame([{titles[name]: value for name, value in row.items()} for row in rows])
    st.dataframe(table, hide_index=True, placeholder="–", column_config=looks, height=height, alt=alt)


# ---- Methods -------------------------------------------------------------------------------------------------


def methods(results: Results, heading: "DeltaGenerator") -> None:
    """Draw all methods as dots, the two families side by side, and the table."""
    compared = results.compared
    if not compared:
        with heading:
            lecture.heading(say("scenes.title_unknown"))
        st.info(say("scenes.empty"), icon=":material/info:")
        return
    found = _count(compared)
    options = {code: say(f"scenes.answer_{code}") for code in ANSWERS}
    prediction = predict.ask(PAGE, say("scenes.question", count=len(compared)), options)
    better = found["better"]
    with heading:
        if not prediction.open:
            lecture.heading(say("scenes.title_unknown"))
        else:
            size = {0: "none", 1: "one"}.get(better, "some")
            lecture.heading(say(f"scenes.title_{size}", better=better, count=len(compared)))
    if not prediction.open:
        st.info(say("scenes.locked"), icon=":material/info:")
        return
    happened = "none" if not better else "half" if 2 * better <= len(compared) else "most"
    predict.compare(PAGE, prediction, options, happened, say("scenes.explanation", **found))
    best = compared[0]
    finding = say("scenes.finding", **found, best=method_runs.title(best.method), points=_points_of(best))
    each = "; ".join(
        say("distil.all_row", scenario=method_runs.title(row.method), points=_points_of(row)) for row in compared
    )
    dots = [_dot(method_runs.title(row.method), row) for row in compared]
    st.vega_lite_chart(charts.method_dots(dots), alt=f"{finding} {each}")
    st.markdown(f"{finding} {say('scenes.legend')}")
    st.caption(_about(results.sentence))
    with st.container(horizontal=True):
        downloads.offer(
            say("scenes.csv"), "methods.csv", lambda: exports.records_csv(results.methods), say("scenes.csv_help")
        )
        downloads.offer_figure("methods", lambda: exports.dots_figure(dots, results.sentence))
    _families(results)
    st.subheader(say("scenes.table"), anchor=False)
    reference = [row for row in results.methods if row.mean is None]
    _table(
        [_method_cells(row) for row in (*compared, *reference)],
        alt=say("scenes.table_alt"),
        per_cents=("accuracy", "fidelity", "calibration"),
        short=("seconds",),
    )
    st.caption(say("scenes.table_note"))


def _dot(name: str, row: Any) -> charts.Dot:
    found = difference(row)
    assert found is not None  # only what was compared is drawn
    return charts.Dot(name, row.family, found)


def _method_cells(row: MethodRow) -> dict[str, Any]:
    return {
        "method": method_runs.title(row.method),
        "difference": _points_of(row),
        "verdict": say(f"scenes.said_{verdict(row)}"),
        "accuracy": _share(row.accuracy),
        "family": say(f"scenes.family_{row.family}"),
        "setting": row.setting,
        "fidelity": _share(row.fidelity),
        "calibration": _share(row.calibration_error),
        "seconds": row.seconds,
    }


def _families(results: Results) -> None:
    """Draw what uses outputs beside what uses the inside, and put the article's words right."""
    st.subheader(say("scenes.families"), anchor=False)
    st.markdown(say("scenes.families_words"))
    by_name = {row.family: row for row in results.families if row.mean is not None}
    paired = by_name.pop(scenes.PAIRED, None)
    if not by_name:
        return
    told = {
        family: _points_of(by_name[family]) if family in by_name else say("scenes.not_compared")
        for family in ("response", "feature")
    }
    finding = say("scenes.families_finding", **told)
    if paired is not None:
        finding += say(
            "scenes.families_paired", points=_points_of(paired), verdict=say(f"scenes.said_{verdict(paired)}")
        )
    dots = [_dot(say(f"scenes.family_{row.family}"), row) for row in scenes.ranked(by_name.values())]
    st.vega_lite_chart(charts.method_dots(dots), alt=finding)
    st.markdown(finding)
    st.caption(_about(results.families_sentence))


# ---- What accuracy costs -------------------------------------------------------------------------------------


def _name(row: SizeRow) -> str:
    """Name a model, with what it is where its name does not say so."""
    role = say(f"scenes.role_{row.role}")
    return row.name if row.role == "teacher" or row.role in row.name else f"{row.name}, {role}"


def _cost(row: SizeRow, cost: str) -> charts.Cost:
    paid = _microseconds(row.latency) if cost == "latency" else row.bytes
    assert paid is not None  # only what was measured is drawn
    return charts.Cost(row.name, row.role, paid, row.accuracy, row.low, row.high)


def sizes(results: Results, heading: "DeltaGenerator") -> None:
    """Draw accuracy against bytes or latency, with the Pareto front, and how accuracy falls while a student shrinks."""
    if not results.sizes:
        with heading:
            lecture.heading(say("common.methods_and_scenes"))
        st.info(say("scenes.empty"), icon=":material/info:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tasks, help_text = list(dict.fromkeys(row.task for row in results.sizes)), say("scenes.sizes_of_help")
        task = choice(st.selectbox, "sizes_of", say("scenes.sizes_of"), tasks, tasks[0], help_text, width=260)
        cost = choice(
            st.segmented_control,
            "cost",
            say("scenes.cost"),
            ("bytes", "latency"),
            "bytes",
            say("scenes.cost_help"),
            words=lambda cost: say(f"scenes.cost_{cost}"),
            required=True,
        )
    of_task = sorted((row for row in results.sizes if row.task == task), key=lambda row: row.bytes)
    measured = [row for row in of_task if getattr(row, cost) is not None]
    title = _sizes_title(measured, cost)
    with heading:
        lecture.heading(title)
    if not measured:
        st.info(say("scenes.not_measured"), icon=":material/info:")
        return
    on_front = scenes.front(measured, cost)
    said = "; ".join(f"{_name(row)} ({percent(row.accuracy)})" for row in on_front)
    finding = say("scenes.sizes_finding", count=len(measured), task=task, front=said)
    models, front = [_cost(row, cost) for row in measured], [_cost(row, cost) for row in on_front]
    axis = say(f"scenes.axis_{cost}")
    st.vega_lite_chart(charts.accuracy_against_cost(models, front, axis), alt=f"{title}. {finding}")
    st.markdown(f"{finding} {say('scenes.sizes_legend')}")
    _machine(results)
    with st.container(horizontal=True):
        downloads.offer(
            say("scenes.csv"), "sizes.csv", lambda: exports.records_csv(results.sizes), say("scenes.csv_help")
        )
        downloads.offer_figure("sizes", lambda: exports.sizes_figure(models, front, axis, finding))
    _table([_size_cells(row) for row in of_task], alt=say("scenes.sizes_alt"), per_cents=("accuracy",), short=_TIMES)
    _capacity(results)


def _size_cells(row: SizeRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "role": say(f"scenes.role_{row.role}"),
        "accuracy": _share(row.accuracy),
        "bytes": row.bytes,
        "latency": _microseconds(row.latency),
        "p95": _microseconds(row.p95),
    }


def _microseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e6 * seconds


def _machine(results: Results) -> None:
    if results.machine:
        st.caption(say("scenes.machine", machine=results.machine))


def _capacity(results: Results) -> None:
    """Draw how accuracy falls while a student shrinks, alone and distilled."""
    if not results.capacity:
        return
    by_size = sorted(results.capacity, key=lambda row: row.bytes)  # of each size the one alone, and the distilled one
    smallest, largest = by_size[:2], by_size[-2:]
    words = {
        f"{which}_{row.role}": percent(row.accuracy)
        for which, rows in (("smallest", smallest), ("largest", largest))
        for row in rows
    }
    task = results.capacity[0].task
    finding = say("scenes.capacity_finding", task=task, smallest=smallest[0].name, largest=largest[0].name, **words)
    st.subheader(say("scenes.capacity"), anchor=False)
    models = [_cost(row, "bytes") for row in results.capacity]
    st.vega_lite_chart(charts.accuracy_against_cost(models, [], say("scenes.axis_parameters")), alt=finding)
    st.markdown(finding)


def _sizes_title(sizes: Sequence[SizeRow], cost: str) -> str:
    """Name the cheapest model within one point of the teacher, or else the most accurate one beside it."""
    teachers = [row for row in sizes if row.role == "teacher"]
    others = [row for row in sizes if row.role != "teacher"]
    if not teachers or not others:
        return say("common.methods_and_scenes")
    teacher = max(teachers, key=lambda row: row.accuracy)
    near = [row for row in others if row.accuracy >= teacher.accuracy - 0.01]
    chosen = min(near, key=lambda row: getattr(row, cost)) if near else max(others, key=lambda row: row.accuracy)
    values = {"name": _name(chosen), "points": metrics.signed_points(chosen.accuracy - teacher.accuracy)}
    if cost == "latency":
        own, of_teacher = (_microseconds(row.latency) for row in (chosen, teacher))
        return say("scenes.title_speeds", own=f"{own:,.0f}", teacher=f"{of_teacher:,.0f}", **values)
    times = teacher.bytes / chosen.bytes
    return say("scenes.title_sizes", times=f"{times:.0f}" if times >= 10 else f"{times:.1f}", **values)


# ---- Scenes --------------------------------------------------------------------------------------------------


def _scene_title(scene: str) -> str:
    name = re.sub("[^a-z0-9]+", "-", scene)
    key = f"scenes.scene_{name}"
    return say(key) if key in catalogue() else scene


def scene_table(results: Results, heading: "DeltaGenerator") -> None:
    """Show the table of all scenes, or of one."""
    if not results.rows:
        with heading:
            lecture.heading(say("common.methods_and_scenes"))
        st.info(say("scenes.empty"), icon=":material/info:")
        return
    scene = choice(
        st.selectbox,
        "scene",
        say("scenes.scene"),
        ["all", *dict.fromkeys(row.scene for row in results.rows)],
        "all",
        say("scenes.scene_help"),
        words=_scene_title,
    )
    rows = [row for row in results.rows if scene in ("all", row.scene)]
    found = _count(rows)
    compared = sum(found.values())
    with heading:
        values = {"scene": _scene_title(scene), "count": compared, "better": found["better"], "worse": found["worse"]}
        which = "scenes" if scene == "all" else "scene" if compared else "scene_nothing"
        lecture.heading(say(f"scenes.title_{which}", **values))
    finding = say("scenes.scenes_finding", count=len(rows), **found, others=len(rows) - compared)
    st.markdown(finding)
    _table(
        [
            {
                "scene": _scene_title(row.scene),
                "how": row.method,
                "difference": _points_of(row),
                "verdict": None if row.mean is None else say(f"scenes.said_{verdict(row)}"),
                "against": None if row.mean is None else row.against,
                "task": row.task,
                "teacher": _share(row.teacher),
                "alone": _share(row.alone),
                "distilled": _share(row.distilled),
                "bytes": row.bytes,
                "latency": _microseconds(row.latency),
                "seeds": row.seeds,
                "note": row.note,
            }
            for row in rows
        ],
        alt=f"{say('scenes.scenes_alt')}. {finding}",
        per_cents=("teacher", "alone", "distilled"),
        short=("latency",),
    )
    st.caption(say("scenes.scenes_note"))
    _machine(results)
    downloads.offer(say("scenes.csv"), "scenes.csv", lambda: exports.records_csv(rows), say("scenes.csv_help"))
