import pytest

from bench import __main__ as bench
from bench import scenarios
from bench.tables import Report, Row, markdown


def test_table_has_one_line_per_row_and_says_what_does_not_hold():
    rows = [
        Row("s", "T = 1", "90 %", "91 %", "+1.0", "better", "at least +2", False),
        Row("s", "", "", "", "", "worse"),
    ]
    lines = markdown(rows).splitlines()
    assert len(lines) == 4
    assert lines[0] == "| scenario | setting | alone | distilled | difference | verdict | claim | holds |"
    assert lines[2].endswith("| at least +2 | NO |")
    assert lines[3].endswith("| worse |  |  |")


def test_measured_section_of_a_readme_is_replaced_and_the_rest_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench, "READMES", [tmp_path / "README.md"])
    (tmp_path / "README.md").write_text(f"# Top\n\n{bench.BEGIN}\nold\n{bench.END}\n\n## Licence\n", encoding="utf-8")
    bench._write("speed", Report("Speed", "99 times", True), 1.0)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Top\n")
    assert text.endswith("\n\n## Licence\n")
    assert "old" not in text
    assert "### Speed\n\n99 times\n" in text
    bench._write("speed", Report("Speed", "98 times", True), 1.0)
    bench._write("scenes", Report("Scenes", "| a long table |", True), 1.0)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "99 times" not in text
    folded = text.partition("### Scenes\n\n<details>")[2].partition("</details>")[0]
    assert "\n\n| a long table |\n" in folded


def test_quick_run_replaces_no_numbers_and_a_full_run_says_what_does_not_hold(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench, "READMES", [])
    monkeypatch.setattr(scenarios, "run", lambda quick: Report("Scenarios", "a table", holds=False))
    assert bench.main(["--quick", "scenarios"]) == 0
    assert not (tmp_path / "results").exists()
    assert bench.main(["scenarios"]) == 1
    assert "something claimed does NOT hold" in capsys.readouterr().out
    assert (tmp_path / "results" / "scenarios.md").read_text(encoding="utf-8").startswith("# Scenarios\n\na table\n")


def test_claims_of_the_scenarios_can_fail(teacher):
    from toolkit.grid import train_grid

    case = scenarios.Case("all-labels", "mlp-8", 1, (8,), 1.0, least_gain={8: 50.0}, at_most=None)
    result = train_grid(
        teacher.dataset, student="mlp-8", temperatures=(8,), lams=(0, 1), seeds=2, epochs=1, teacher=teacher
    )
    assert scenarios._row(case, result, 0, 8).holds is False


def test_unknown_part_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        bench.main(["heat"])
    assert "unknown part 'heat'; known are speed, growth, waits, scenarios" in capsys.readouterr().err
