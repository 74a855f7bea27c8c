import dataclasses

import numpy as np
import pytest

from bench import agreement, peers, race, speed
from bench.contestants import CONTESTANTS, Contestant
from bench.race import SAMPLE, SETTINGS, Lane, Race, Result


def result(seconds, students=64, accuracy=0.9, title="somebody", **others):
    return Result(title, seconds, students, dict.fromkeys(SETTINGS[:students], accuracy), **others)


def fast(**results):
    return Race(results, threads=2, accuracies_of_seeds=np.tile([0.89, 0.90, 0.91], (64, 1)))


@pytest.fixture
def no_peers(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")


def test_worker_answers_one_round_after_another(teacher):
    with Lane("plain") as lane:
        lane.get_ready()
        lane.take_turn(SAMPLE[:2], 1)
        lane.take_turn(SAMPLE[1:2], 1)
    assert lane.problem == ""
    assert lane.threads >= 1
    assert [len(turn.accuracies) for turn in lane.rounds] == [2, 1]
    assert all(turn.seconds > 0 for turn in lane.rounds)
    assert set(lane.accuracies) == set(SAMPLE[:2])


def test_contestant_that_cannot_start_says_why_and_does_not_stop_the_others(teacher, monkeypatch):
    monkeypatch.setitem(
        CONTESTANTS, "nobody", Contestant("nobody", CONTESTANTS["plain"].prepare)
    )  # not in the worker's list
    contest = race.race(("nobody", "plain"), rounds=1, epochs=1, in_full=("nobody",), few=True)
    nobody, nobody_in_full, plain = (speed._row(r, contest, contest.results["plain"]) for r in sort_by_title(contest))
    assert nobody.comparable == nobody_in_full.comparable == "not measured: KeyError: 'nobody'"
    assert nobody.median_s == "–"
    assert float(plain.median_s) > 0


def sort_by_title(contest):
    return sorted(contest.results.values(), key=lambda each: each.title)


def test_contestant_that_breaks_off_keeps_its_rounds_and_says_why(teacher):
    with Lane("plain") as lane:
        lane.get_ready()
        lane.take_turn(SAMPLE[:1], 1)
        lane.take_turn([(-1, 0.5)], 1)
        lane.take_turn(SAMPLE[:1], 1)
    assert len(lane.rounds) == 1
    assert lane.problem.startswith("ValueError: temperature must be a finite number above 0, not -1")


def test_missing_peer_is_reported_with_what_to_do(no_peers):
    contest = race.race(("keras",), rounds=1, epochs=1)
    (row,) = speed.rows(contest, "keras")
    assert row.contestant == "keras.distillation on PyTorch"
    assert row.comparable.startswith("not measured: the peers' environment is missing (to build it: make peers")


def test_slow_contestants_train_their_students_in_turns(no_peers):
    with Lane("keras") as one_at_a_time, Lane("kdloss") as two_at_a_time:
        assert [one_at_a_time.sample(number)[0] for number in range(5)] == [*SAMPLE, SAMPLE[0]]
        assert [two_at_a_time.sample(number) for number in range(3)] == [SAMPLE[:2], SAMPLE[2:], SAMPLE[:2]]
    assert all(lam < 1 for _, lam in SAMPLE)  # at λ = 1 torchdistill has another loss


def test_seconds_are_scaled_to_64_students():
    contest = fast(grid=result([0.5, 0.4, 0.6]), slow=result([3.0, 4.0, 2.0], students=4))
    grid, slow = speed.rows(contest, "grid")
    assert (grid.seconds_for_64, grid.times_the_grid) == ("0.5", "1")
    assert (slow.median_s, slow.seconds_for_64, slow.times_the_grid) == ("3.000", "48", "96")
    assert contest.ratio("slow", "grid") == pytest.approx(96)
    assert contest.ratio("nobody", "grid") is None


def test_accuracy_is_compared_over_the_same_students_within_the_noise_of_seeds():
    grid = dataclasses.replace(result([0.5]), accuracies={**dict.fromkeys(SETTINGS, 0.5), SETTINGS[0]: 0.9})
    near = result([1.0], students=1, accuracy=0.92)
    far = result([1.0], students=1, accuracy=0.94)
    contest = fast(grid=grid, near=near, far=far)
    assert contest.noise(SETTINGS[:1]) == pytest.approx(0.03)
    _, near_row, far_row = speed.rows(contest, "grid")
    assert (near_row.minus_the_grid, near_row.comparable) == ("+2.00", "yes, within ± 3.00")
    assert (far_row.minus_the_grid, far_row.comparable) == ("+4.00", "not comparable: beyond ± 3.00")


def test_claims_can_fail_and_what_was_not_measured_is_no_failure():
    digits = fast(
        **{
            "grid": result([1.0]),
            "tutorial, all": result([119.0]),
            "cached, all": result([51.0]),
            "bound": result([0.3]),
        }
    )
    nothing = Race({}, threads=2)
    claims = {claim.claim: claim for claim in speed.claims_of_race(digits, nothing, nothing)}
    assert claims["grid, 64 students: times faster than the tutorial-style loop"].holds is False
    assert claims["grid, 64 students: times faster than that loop with cached logits"].holds is True
    assert claims["grid, hidden 32: times the bound"].holds is False
    assert claims["grid, hidden 128: times the bound"].measured == "not measured"
    assert claims["grid, hidden 128: times the bound"].holds is None


def test_same_accuracy_is_a_claim_too():
    contest = fast(grid=result([1.0]), good=result([1.0], accuracy=0.91), bad=result([1.0], accuracy=0.8))
    good, bad = speed.claims_of_accuracy(contest, "grid", ("good", "bad"))
    assert (good.holds, bad.holds) == (True, False)
    assert bad.measured == "-10.00 points"


@pytest.mark.parametrize("name", ["vmap", "plain"])
def test_contestants_with_the_same_order_of_batches_train_the_same_students_as_the_grid(name, teacher):
    settings = [(temperature, lam) for temperature in (2, 8) for lam in (0, 0.9)]
    theirs = CONTESTANTS[name].prepare()(settings, 1).accuracies
    grids = CONTESTANTS["grid"].prepare()(settings, 1).accuracies
    np.testing.assert_allclose(theirs, grids, atol=0.005)


@pytest.mark.parametrize("name", ["tutorial", "cached"])
def test_loops_of_the_tutorials_learn(name, teacher):
    (accuracy,) = CONTESTANTS[name].prepare()([(4, 0.9)], 3).accuracies
    assert accuracy > 0.7


def test_losses_of_tutorials_have_our_values(teacher):
    assert 0 < agreement.loss_differences()["tutorial"] <= 1e-5


def test_stacked_students_are_those_one_by_one(teacher):
    differences = agreement.student_differences([(1, 0), (1, 0.9), (8, 0), (8, 0.9)], 2)
    assert differences.accuracy_max <= 0.5
    assert differences.weight_median <= differences.weight_max <= 1e-3


def test_figure_has_a_labelled_bar_for_each_that_was_measured():
    contest = fast(grid=result([0.5], title="our grid"), none=Result("missing", [], 64, {}, problem="it is missing"))
    (axes,) = speed.figure(contest, epochs=20).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["our grid"]
    assert [text.get_text() for text in axes.texts] == ["0.5 s"]
