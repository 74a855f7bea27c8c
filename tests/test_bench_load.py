"""Many at once: how messages of the server are read, what is sent back, what is claimed; and a short run on the real server."""

import asyncio
import importlib.util
import random

import pytest

from bench import browser, load, waits

pytest.importorskip("streamlit")
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg


def begins(run="r1", parts=()):
    message = ForwardMsg()
    message.new_session.page_script_hash = "page"
    message.new_session.config.max_cached_message_age = 2
    message.metadata.run.script_run_id = run
    message.metadata.run.fragment_ids.extend(parts)
    return message


def ends(status=ForwardMsg.FINISHED_SUCCESSFULLY):
    return ForwardMsg(script_finished=status)


def shows(kind, part="", **values):
    message = ForwardMsg(hash="h")
    message.delta.fragment_id = part
    widget = getattr(message.delta.new_element, kind)
    widget.SetInParent()
    for name, value in values.items():
        if isinstance(value, list):
            getattr(widget, name).extend(value)
        else:
            setattr(widget, name, value)
    return message


def slider(name="$$ID-1a-lam", **values):
    return shows("slider", id=name, **{"type": 1, "min": 0, "max": 1, "step": 0.25, "default": [0.5]} | values)


def cell(**values):
    return shows("selectbox", part="p", id="$$ID-2b-cell_T", options=["best", "1", "2"], **{"default": 0} | values)


def read(*messages, path="distil"):
    shown = load.Shown(path, "hide=question")
    said = [shown.read(message) for message in messages]
    return shown, said


def test_a_control_is_known_by_its_key_with_what_it_stands_at():
    shown, said = read(begins(), slider(), slider("$$ID-2b-c-d", disabled=True), ends())
    assert said == ["new_session", "delta", "delta", "ended"]
    assert [control.widget.id for control in shown.usable("la?", "c-d")] == ["$$ID-1a-lam"]
    assert shown.values["$$ID-1a-lam"] == [0.5]
    assert shown.states()[0].double_array_value.data == [0.5]


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (slider(set_value=True, value=[0.75]), [0.75]),
        (shows("slider", id="a", type=2, options=["1", "2", "4"], default=[1]), ["2"]),
        (shows("slider", id="a", type=2, options=["1", "2"], set_value=True, raw_value=["1"]), ["1"]),
        (shows("number_input", id="a", default=7), [7]),
        (shows("number_input", id="a", default=7, set_value=True, value=3), [3]),
        (cell(), ["best"]),
        (cell(set_value=True, raw_value="2"), ["2"]),
        (shows("selectbox", id="a", options=["x"]), []),
        (shows("button_group", id="a", set_value=True, raw_values=["x"]), ["x"]),
    ],
)
def test_what_a_control_stands_at_is_read_from_its_message(message, value):
    shown, _ = read(begins(), message)
    assert list(shown.values.values()) == [value]


def test_options_of_a_segmented_control_are_sent_with_their_icons():
    message = shows("button_group", id="a", default=[1])
    message.delta.new_element.button_group.options.add(content="one")
    message.delta.new_element.button_group.options.add(content="all", content_icon=":x:")
    shown, _ = read(begins(), message)
    assert shown.values["a"] == [":x: all"]
    assert shown.states()[0].string_array_value.data == [":x: all"]


def test_a_changed_value_stays_until_the_server_sets_another():
    shown, _ = read(begins(), slider(), ends())
    shown.values["$$ID-1a-lam"] = [1.0]
    shown.read(begins("r2"))
    shown.read(slider())
    assert shown.values["$$ID-1a-lam"] == [1.0]
    shown.read(slider(set_value=True, value=[0.25]))
    assert shown.values["$$ID-1a-lam"] == [0.25]


def test_a_control_that_a_run_did_not_show_is_gone_when_the_run_ends():
    shown, _ = read(begins(), slider(), cell(), ends())
    shown.read(begins("r2", ["p"]))
    assert len(shown.usable("*")) == 2
    shown.read(ends(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY))
    assert [control.kind for control in shown.usable("*")] == ["slider"]
    assert shown.was_run("p")
    assert not shown.was_run("")
    shown.read(begins("r3"))
    assert shown.read(ends(ForwardMsg.FINISHED_EARLY_FOR_RERUN)) == "interrupted"
    assert shown.usable("lam")
    assert shown.read(ends()) == "ended"
    assert shown.usable("*") == []
    assert shown.values == {}


def test_a_part_renews_itself_until_it_is_told_not_to_or_the_page_runs_again():
    renews, ceases = ForwardMsg(), ForwardMsg()
    renews.auto_rerun.fragment_id, renews.auto_rerun.interval = "p", 0.5
    ceases.stop_auto_rerun.fragment_ids.append("p")
    shown, _ = read(begins(), renews)
    assert shown.renewals == {"p": 0.5}
    shown.read(begins("r2", ["p"]))
    assert shown.renewals == {"p": 0.5}
    shown.read(ceases)
    assert shown.renewals == {}
    shown.read(renews)
    shown.read(begins("r3"))
    assert shown.renewals == {}


def test_large_messages_are_kept_for_a_while_and_named_to_the_server():
    large = slider()
    large.metadata.cacheable = True
    again = ForwardMsg(ref_hash="h")
    shown, _ = read(begins(), large, ends())
    assert shown.hashes == ["h"]
    shown.read(begins("r2"))
    shown.read(again)
    shown.read(ends())
    assert shown.usable("lam")
    for run in range(3):
        shown.read(begins(f"later {run}"))
        shown.read(ends())
    assert shown.hashes == []
    shown.read(again)
    assert shown.problems == ["the server counts on a message that the page does not have"]


def test_errors_on_the_page_are_problems_and_other_alerts_are_not():
    error, note = shows("alert", body="It broke.", format=1), shows("alert", body="By the way", format=3)
    raised = shows("exception", type="ValueError", message="no")
    failed = ForwardMsg()
    failed.session_event.script_compilation_exception.message = "syntax"
    shown, _ = read(begins(), note, error, raised, failed)
    assert shown.problems == ["It broke.", "ValueError: no", "syntax"]


def test_address_and_pages_are_followed():
    menu, address = ForwardMsg(), ForwardMsg()
    menu.navigation.page_script_hash = "one"
    menu.navigation.app_pages.add(page_script_hash="zero", is_default=True, url_pathname="soft_targets")
    menu.navigation.app_pages.add(page_script_hash="one", url_pathname="surface")
    address.page_info_changed.query_string = "T=4"
    shown, _ = read(begins(), menu, address)
    assert (shown.path, shown.page, shown.query) == ("surface", "one", "T=4")
    assert shown.pages == {"": "zero", "surface": "one"}


@pytest.mark.parametrize("message", [slider(), slider(type=2, options=["1", "2", "4"], default=[0]), cell()])
def test_another_value_is_one_that_the_control_has(message):
    shown, _ = read(begins(), message)
    ((name, now),) = shown.values.items()
    dice = random.Random(1)
    (control,) = shown.usable("*")
    values = [load.another(control, now, dice)[0] for _ in range(40)]
    assert set(values) <= ({0, 0.25, 0.5, 0.75, 1} if isinstance(now[0], float) else {"1", "2", "4"})
    assert len(set(values)) > 1
    assert load.wire(control, values[:1]).id == name


def test_a_control_with_one_option_stays():
    shown, _ = read(begins(), shows("selectbox", id="a", options=["only"], default=0))
    assert load.another(shown.usable("a")[0], ["only"], random.Random(1)) == ["only"]


def test_a_pressed_button_is_sent_as_pressed():
    shown, _ = read(begins(), shows("button", id="$$ID-1a-train"))
    assert load.wire(shown.usable("train")[0], []).trigger_value
    assert shown.states() == []


def test_one_of_six_trains_each_with_settings_of_its_own():
    plans = [load.where_to(number, 30) for number in range(30)]
    assert [trains for _, _, trains in plans].count(True) == 5
    assert len({query for _, query, trains in plans if trains}) == 5
    assert {path for path, _, trains in plans if not trains} == set(load.CONTROLS)
    assert load.where_to(0, 2)[2]
    assert not load.where_to(1, 2)[2]


def found(**more):
    return load.Findings(**{"megabytes": [100.0, 110.0]} | more)


@pytest.mark.parametrize("known", [{}, {"distil": "one"}, {"": "zero", "distil": "one"}])
def test_who_can_go_nowhere_stays(known):
    shown, gone = load.Shown("distil", ""), []

    async def go(path):
        gone.append(path)

    shown.pages = known
    one = load.Visitor(None, shown, found(), random.Random(1))
    one.go = go
    asyncio.run(one.look_around())
    assert gone == [path for path in known if path != "distil"]


def test_percentiles_of_a_row():
    row = load.row("a change", [0.001 * number for number in range(1, 102)])
    assert (row.change, row.times, row.median, row.p95, row.max) == ("a change", 101, "51 ms", "96 ms", "101 ms")


def test_to_open_the_app_is_no_change():
    findings = found()
    findings.waits[load.OPENS] = [9.0]
    findings.waits["a"] = [0.1]
    findings.waits["b"] = [0.2]
    assert load.changes(findings) == [0.1, 0.2]
    assert all(claim.holds for claim in load.claims(findings, "before"))


@pytest.mark.parametrize(
    ("place", "more"),
    [
        (0, {"problems": load.Counter({"It broke.": 2})}),
        (1, {"lost": 1}),
        (2, {"silent": 1}),
        (3, {"waits": load.defaultdict(list, {"a": [9.0]})}),
        (3, {"waits": load.defaultdict(list)}),  # nobody did anything
        (4, {"megabytes": [100.0, 121.0]}),
    ],
)
def test_each_claim_can_fail(place, more):
    usual = {"waits": load.defaultdict(list, {"a": [0.1]})}
    holds = [claim.holds for claim in load.claims(found(**usual | more), "before")]
    assert holds == [number != place for number in range(5)]


@pytest.mark.parametrize(("package", "extra"), [("streamlit", "app"), ("psutil", "test")])
def test_a_missing_package_is_reported_with_what_to_install(monkeypatch, package, extra):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else "there")
    report = load.run(quick=True)
    assert not report.holds
    assert f"{package} is missing: pip install -e '.[{extra}]'" in report.text


@pytest.mark.parametrize("after_messages", [0, 1])
def test_a_lost_connection_is_counted_and_nobody_waits_for_its_answer(monkeypatch, after_messages):
    from websockets.asyncio.server import serve

    monkeypatch.setattr(load, "PACE", 0.2)

    async def visit_a_server_that_hangs_up():
        async def hang_up(socket):
            for _ in range(after_messages):
                await socket.recv()

        async with serve(hang_up, "localhost", 0, subprotocols=["streamlit"]) as server:
            port = server.sockets[0].getsockname()[1]
            findings = load.Findings()
            await load.visit(f"http://localhost:{port}", 0, 1, 1.0, findings)
            return findings

    findings = asyncio.run(visit_a_server_that_hangs_up())
    assert (findings.lost, findings.silent) == (1, 0)
    assert findings.problems.total() == 1


def test_who_gets_no_answer_in_time_is_counted_and_goes_on(monkeypatch):
    from websockets.asyncio.server import serve

    monkeypatch.setattr(load, "PACE", 0.2)
    monkeypatch.setattr(load, "PATIENCE", 0.2)

    async def visit_a_server_that_says_nothing():
        async with serve(lambda socket: socket.wait_closed(), "localhost", 0, subprotocols=["streamlit"]) as server:
            port = server.sockets[0].getsockname()[1]
            findings = load.Findings()
            await load.visit(f"http://localhost:{port}", 0, 1, 1.0, findings)
            return findings

    findings = asyncio.run(visit_a_server_that_says_nothing())
    assert (findings.lost, findings.problems) == (0, {})
    assert findings.silent >= 1
    assert load.changes(findings) == []


# ---- Beside the trivial page (bench/waits.py) ----------------------------------------------------------------


def test_the_first_picture_is_compared_with_that_of_the_trivial_page_by_medians():
    visits = [("", 0.5), (waits.FIRST, 3.0), (waits.FIRST, 2.0), (waits.FIRST, 9.0), (waits.NEXT, 1.0)]
    visits += [(waits.TRIVIAL_FIRST, seconds) for seconds in (2.5, 2.1, 1.0)] + [(waits.TRIVIAL_NEXT, 1.2)]
    trivial_first, trivial_next, first, following = waits._beside_trivial(visits)
    assert (trivial_first.median, trivial_first.budget, trivial_first.within_budget) == ("2.10 s", "", None)
    assert trivial_next.median == "1.20 s"
    assert (first.median, first.min, first.max, first.budget) == ("900 ms", "-100 ms", "8.00 s", "1.00 s")
    assert first.within_budget
    assert (following.median, following.budget) == ("-200 ms", "500 ms")


def test_a_wait_tells_its_95th_percentile():
    assert waits._row("a redraw", [0.001 * number for number in range(1, 102)], 0.016).p95 == "96 ms"


# ---- On the real server --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("psutil")
    with (tmp_path_factory.mktemp("server") / "log").open("w") as log, browser.server(log) as address:
        asyncio.run(load.prepare(address))
        yield address


def test_changes_arrive_and_the_address_tells_them(server):
    async def change_and_go():
        findings = load.Findings()
        async with load.visitor(server, "distil", load.SETTINGS, findings, random.Random(0)) as one:
            before = one.shown.query
            assert await one.change_something("lam")
            assert await one.change_something("scenario")
            after = one.shown.query
            await one.go("surface")
            assert one.shown.path == "surface"
            for _ in range(600):  # of this scenario nothing was trained yet
                if one.shown.usable("cell_T"):
                    break
                await asyncio.sleep(0.1)
            assert await one.change_something("cell_T")
            assert not await one.change_something("no such control")
            return before, after, one.shown.query, findings

    before, after, surface, findings = asyncio.run(change_and_go())
    assert "lam=0.9" in before
    assert "lam=0.9&" not in after
    assert "scenario=small-transfer-set" in before
    assert "scenario=small-transfer-set" not in after
    assert "cell_T=best" not in surface
    assert findings.problems == {}
    assert {what: len(seconds) for what, seconds in findings.waits.items()} == {
        load.OPENS: 1,
        "a control of *Distil*": 2,
        "a control of *Surface*": 1,
        load.GOES: 1,
    }


def test_six_visitors_meet_with_no_error(server, monkeypatch):
    monkeypatch.setattr(load, "PACE", 1.5)
    findings = asyncio.run(load.many(server, visitors=6, seconds=8.0))
    assert (findings.problems, findings.lost) == ({}, 0)
    assert len(findings.waits[load.OPENS]) == 6
    assert findings.waits[load.TRAINS]
    assert len(load.changes(findings)) >= 6
    early, late = findings.megabytes
    assert min(early, late) > 50
