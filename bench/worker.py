"""``python -m bench.worker NAME``: one contestant in a process of its own.

It prepares, and says so; then each line that comes in orders a round, and one line goes out for it. All lines are JSON:

    ← {"ready": true, "threads": 2}
    → {"settings": [[4, 0.9]], "epochs": 20}
    ← {"seconds": 0.53, "accuracies": [0.94]}

What goes wrong ends the process with its error on stderr.
"""

import contextlib
import json
import sys
from dataclasses import asdict

import torch

from bench.contestants import CONTESTANTS


def main(name: str) -> None:
    """Prepare the contestant, then answer one order after another."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not come between the answers
        contestant = CONTESTANTS[name]
        if contestant.threads is not None:
            torch.set_num_threads(contestant.threads)
        train = contestant.prepare()
        print(json.dumps({"ready": True, "threads": torch.get_num_threads()}), file=answers, flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            settings = [(temperature, lam) for temperature, lam in order["settings"]]
            train(settings, 1)  # while others had their turn, memory and threads of this one fell asleep
            result = train(settings, order["epochs"])
            print(json.dumps(asdict(result)), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
