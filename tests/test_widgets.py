"""Sliders redraw what they show, and leave a picture where no kernel is at work."""

import base64

import ipywidgets
import pytest
import torch

from toolkit import training, widgets

PNG = b"\x89PNG"


def children(panel, kind):
    return [child for child in panel.children if type(child) is kind]


@pytest.fixture
def panel(digits):
    return widgets.temperature_slider(torch.arange(10.0), digits.class_names, label=9, image=digits.x_test[0])


def picture(panel):
    (image,) = children(panel, ipywidgets.Image)
    return image.value


def test_moving_the_temperature_slider_draws_another_picture(panel):
    (slider,) = children(panel, ipywidgets.SelectionSlider)
    before = picture(panel)
    slider.value = 4
    assert picture(panel) != before
    slider.value = 1
    assert picture(panel) == before


def test_without_a_kernel_a_picture_is_shown(panel):
    data = panel._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert "application/vnd.jupyter.widget-view+json" in data


def test_temperature_has_finer_stops_below_two(panel):
    (slider,) = children(panel, ipywidgets.SelectionSlider)
    steps = [after - before for before, after in zip(slider.options, slider.options[1:], strict=False)]
    assert max(steps[:9]) < 0.21
    assert max(steps) > 1


def test_the_button_really_trains_with_what_the_sliders_say(digits, teacher):
    panel = widgets.distillation_sliders(digits, "few-labels", "mlp-8", teacher=teacher, epochs=2, seeds=2)
    (button,) = children(panel, ipywidgets.Button)
    (lam,) = children(panel, ipywidgets.FloatSlider)
    before = picture(panel)
    lam.value = 0.0
    assert picture(panel) == before, "nothing is trained before the button is pressed"
    button.click()
    assert picture(panel) != before
    assert not button.disabled


@pytest.mark.parametrize(("start", "stop"), [(3.5, 3), (0.01, 0.2), (1.05, 1), (7.2, 8), (100, 20)])
def test_a_temperature_between_two_stops_begins_at_the_nearest(start, stop):
    panel = widgets.temperature_slider(torch.arange(3.0), "abc", start=start)
    (slider,) = children(panel, ipywidgets.SelectionSlider)
    assert slider.value == stop


def test_what_no_slider_can_show_is_refused_at_once(digits, teacher):
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        widgets.temperature_slider(torch.arange(3.0), "abc", start=-1)
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        widgets.distillation_sliders(digits, teacher=teacher, lam=1.5)
    with pytest.raises(ValueError, match="epochs must be"):
        widgets.distillation_sliders(digits, teacher=teacher, epochs=0)


def test_a_training_that_fails_says_so_in_the_panel_until_one_succeeds(digits, teacher, monkeypatch):
    panel = widgets.distillation_sliders(digits, "few-labels", "mlp-8", teacher=teacher, epochs=1, seeds=2)
    (button,) = children(panel, ipywidgets.Button)
    (message,) = children(panel, ipywidgets.HTML)
    before = picture(panel)
    assert message.value == ""

    def diverge(*_, **__):
        raise training.TrainingDiverged("a student <of the grid>", 3)

    with monkeypatch.context() as patch:
        patch.setattr(widgets, "train_grid", diverge)
        button.click()
    assert "a student &lt;of the grid&gt; diverged in epoch 3" in message.value
    assert "smaller learning rate" in message.value
    assert picture(panel) == before
    assert not button.disabled
    button.click()
    assert message.value == ""
