import io

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image

from toolkit import data, plots, readable
from toolkit.grid import train_grid


@pytest.fixture(scope="module")
def result(digits, teacher):
    return train_grid(
        digits, "few-labels", temperatures=(1, 4, 8), lams=(0, 0.1, 1), seeds=4, epochs=15, teacher=teacher
    )


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def contains(pixels, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(pixels - wanted).sum(-1) < 30).any()


def test_bars_show_teacher_student_label_and_the_uniform_line(digits, teacher):
    logits = teacher.test_logits[0]
    figure = plots.soft_target_bars(
        logits, digits.class_names, (1, 4), student_logits=logits / 2, label=3, image=digits.x_test[0]
    )
    pixels = png(figure)
    assert contains(pixels, plots.TEACHER)
    assert contains(pixels, plots.DISTILLED)
    assert len(figure.axes) == 3
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == list(digits.class_names)


def test_dark_knowledge_leaves_the_diagonal_white():
    matrix = np.array([[0.9, 0.1, 0.0], [0.3, 0.6, 0.1], [0.0, 0.2, 0.8]])
    image = plots.dark_knowledge(matrix, ("a", "b", "c")).axes[0].images[0].get_array()
    assert image.mask.tolist() == np.eye(3, dtype=bool).tolist()
    assert image.max() == 0.3


@pytest.mark.parametrize("line", ["word " * 60, "字" * 300])
def test_what_stands_above_a_figure_fits_into_it(line):
    figure = plots.describe(plots.accuracy_curves({"distilled": np.array([[0.5, 0.6]])}), line, "second line")
    png(figure)
    box = figure._suptitle.get_window_extent()
    assert figure.get_suptitle().endswith("\nsecond line")
    assert box.x1 < figure.bbox.x1


def test_curves_show_every_line_with_its_name_beside_it(result, teacher):
    figure = plots.accuracy_curves(
        {"student alone": result.history[0, 0], "distilled": result.history[2, 2], "another": result.history[1, 1]},
        teacher=teacher.val_accuracy,
    )
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {"student alone", "distilled", "another", "teacher"}
    pixels = png(figure)
    assert all(contains(pixels, colour) for colour in (plots.TEACHER, plots.ALONE, plots.DISTILLED))


def test_one_seed_has_a_line_and_no_band(result):
    figure = plots.accuracy_curves({"distilled": result.history[0, 0, :1]})
    assert not figure.axes[0].collections


def test_surface_hatches_exactly_the_cells_whose_interval_holds_zero(result):
    figure = plots.surface(result)
    hatched = {patch.get_xy() for patch in figure.axes[0].patches if patch.get_hatch()}
    holds_zero = result.difference_interval().holds_zero
    assert hatched == {(lam - 0.5, t - 0.5) for t, lam in np.argwhere(holds_zero) if lam > 0}
    assert hatched
    assert not holds_zero.all()


def test_surface_rings_the_cell_that_validation_chose(result):
    t, lam = result.best_cell()
    assert result.val_accuracy.mean(-1)[t, lam] == result.val_accuracy.mean(-1).max()
    (ring,) = [patch for patch in plots.surface(result).axes[0].patches if not patch.get_hatch()]
    assert ring.get_xy() == pytest.approx((lam - 0.47, t - 0.47))


def test_surface_rings_a_cell_that_is_looked_at_with_dashes(result):
    looked_at = (0, 0) if result.best_cell() != (0, 0) else (1, 1)
    rings = [patch for patch in plots.surface(result, chosen=looked_at).axes[0].patches if not patch.get_hatch()]
    assert [ring.get_linestyle() for ring in rings] == ["-", "--"]
    assert rings[1].get_xy() == pytest.approx((looked_at[1] - 0.47, looked_at[0] - 0.47))


def test_curves_below_the_teacher_and_above_it_all_stay_in_sight(result):
    figure = plots.accuracy_curves({"distilled": result.history[0, 0]}, teacher=0.3)
    assert figure.axes[0].get_ylim()[0] < 0.3


def test_history_stopped_before_its_first_epoch_is_drawn_as_nothing():
    figure = plots.accuracy_curves({"distilled": np.zeros((3, 0))}, teacher=0.9)
    assert [text.get_text() for text in figure.axes[0].texts] == ["teacher"]


def test_surface_never_writes_a_negative_zero():
    assert plots._signed(-0.04) == "+0.0"


def test_chinese_labels_render_with_real_glyphs(result):
    if len(plots._font_families()) == 1:
        pytest.skip("no Chinese font on this machine: install Noto Sans CJK (Debian: apt install fonts-noto-cjk)")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each missing glyph
        png(plots.accuracy_curves({"蒸馏": result.history[0, 0]}, title="软目标与温度"))
    assert font_manager.findfont(plots._font_families()[1])


def test_notebooks_show_a_figure_without_pyplot(result):
    assert plots.surface(result)._repr_png_().startswith(b"\x89PNG")


# ---- A tree that a person can follow -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tumours():
    return data.load("breast-cancer")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_decision_is_drawn_from_the_top_to_its_leaf(tumours, language):
    tree = readable.fit_tree(tumours, depth=2)
    patient = tumours.x_test[0]
    figure = plots.decision_tree(tree, followed=patient, language=language)
    texts = [text.get_text() for text in figure.axes[0].texts]
    asked = [text for text in texts if "≤" in text]
    assert len(asked) == len(tree.left) - len(tree.leaves)
    answer = {"en": "this one", "zh": "此例"}[language]
    assert sum(answer in text for text in asked) == len(tree.decision(patient))
    assert {"en": "yes", "zh": "是"}[language] in texts
    accents = [line for line in figure.axes[0].lines if line.get_color() == plots.DISTILLED]
    assert len(accents) == len(tree.decision(patient))


def test_without_an_example_no_path_is_drawn(tumours):
    figure = plots.decision_tree(readable.fit_tree(tumours, depth=1))
    assert all(line.get_color() != plots.DISTILLED for line in figure.axes[0].lines)


def test_accuracy_against_cost_names_the_front_and_draws_it_as_steps():
    points = [
        plots.Model("a", "int8", 10, 0.8, 0.7, 0.9),
        plots.Model("b", "alone", 20, 0.7),
        plots.Model("c", "teacher", 40, 0.9),
    ]
    roles = {"teacher": "teacher", "alone": "alone", "int8": "int8"}
    figure = plots.accuracy_against_cost(points, [points[0], points[2]], xlabel="bytes", roles=roles)
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.texts] == ["a", "c"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["teacher", "alone", "int8"]
    steps = ax.lines[0].get_xydata()
    assert steps[0].tolist() == [10, 0.8]
    assert steps[-1].tolist() == [52, 0.9]
    assert not plots.accuracy_against_cost(points, [], xlabel="bytes", roles=roles).axes[0].texts
