"""Write what `fmnist-tk report FILE` prints into the README, between the markers that name FILE."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def printed(path: str) -> str:
    command = [sys.executable, "-m", "toolkit", "report", path]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=README.parent).stdout.splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


if __name__ == "__main__":
    pattern = re.compile(r"(<!-- report (\S+) -->\n```text\n).*?(```)", re.DOTALL)
    text = pattern.sub(lambda found: f"{found[1]}{printed(found[2])}\n{found[3]}", README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")
