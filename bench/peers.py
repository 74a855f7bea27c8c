"""``python -m bench.peers``: build .venv-peers, the environment of the libraries that the bench compares with.

It holds only what the toolkit does not need; all else, PyTorch first, comes from the environment that builds it.
"""

import subprocess
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / ".venv-peers"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if sysconfig.get_platform().startswith("win") else "bin/python")
REQUIREMENTS = Path(__file__).with_name("peers.txt")


def build() -> None:
    """Build it anew."""
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    ask = [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.check_output(ask, text=True).strip())
    (packages / "toolkit.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    subprocess.check_call([str(PYTHON), "-m", "pip", "install", "--no-deps", "--requirement", str(REQUIREMENTS)])


if __name__ == "__main__":
    build()
