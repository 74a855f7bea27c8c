"""Results of the page *Methods and scenes* whose numbers are nobody's, for its tests."""

from toolkit import methods


def made_up_results():
    """Results whose numbers are obviously nobody's: round, and in the order of the methods."""
    names = [name for name in methods.names() if name != "labels"]
    compared = [
        {
            "method": name,
            "family": methods.get(name).family,
            "setting": "made up",
            "accuracy": 0.5 + place / 100,
            "mean": (place - 5) / 100,
            "low": (place - 5) / 100 - 0.015,
            "high": (place - 5) / 100 + 0.015,
            "fidelity": 0.5,
            "calibration_error": 0.1,
            "seconds": 1.0,
        }
        for place, name in enumerate(names)
    ]
    alone = compared[0] | {"method": "labels", "family": "labels", "mean": None, "low": None, "high": None}
    row = {"teacher": 0.9, "alone": 0.5, "distilled": 0.6, "low": 0.05, "mean": 0.1, "high": 0.15}
    row |= {"against": "the student alone", "bytes": 1000, "latency": 0.0001, "seeds": 5, "note": "made up"}
    size = {"low": 0.5, "high": 0.95, "p95": 0.001, "front": False}
    size |= {"task": "made up"}
    families = ("response", "feature", "feature − response")
    return {
        "format": 1,
        "seconds": 1,
        "rows": [
            row | {"scene": "phone", "task": "made up, cnn-4", "method": "int8"},
            row | {"scene": "finance", "task": "made up, tree", "method": "tree", "low": -0.1},
            row
            | {"scene": "speech", "task": "x", "method": "y", "low": None, "mean": None, "high": None, "bytes": None},
        ],
        "methods": {"sentence": "made up", "task": "made up", "teacher": 0.9, "rows": [alone, *compared]},
        "families": {
            "sentence": "made up",
            "rows": [
                {"family": family, "methods": names, "mean": mean, "low": mean - 0.01, "high": mean + 0.01}
                for family, mean in zip(families, (0.02, 0.0, -0.02), strict=True)
            ],
        },
        "sizes": [
            size | {"name": "big", "role": "teacher", "bytes": 1_000_000, "latency": 0.01, "accuracy": 0.9},
            size | {"name": "small", "role": "alone", "bytes": 10_000, "latency": 0.001, "accuracy": 0.7},
            size | {"name": "small", "role": "distilled", "bytes": 10_000, "latency": 0.001, "accuracy": 0.8},
            size | {"name": "small", "role": "int8", "bytes": 3_000, "latency": 0.002, "accuracy": 0.79},
            size | {"name": "small", "role": "pruned", "bytes": 5_000, "latency": 0.001, "accuracy": 0.6},
            size | {"name": "tiny", "role": "alone", "bytes": 9, "latency": None, "accuracy": 0.4, "task": "another"},
        ],
        "capacity": [
            {"task": "made up", "width": width, "parameters": 75 * width, "alone": bounds, "distilled": bounds}
            for width, bounds in (
                (2, {"low": 0.4, "mean": 0.5, "high": 0.6}),
                (64, {"low": 0.8, "mean": 0.9, "high": 1.0}),
            )
        ],
    }
