"""A list of everything that medtransfer installs, with versions and hashes.

    python supply/lock.py requirements.lock

Asks pip what it would install from the index that it is set up with, under `constraints.txt`, and
writes one `name==version --hash=sha256:…` a line. The list belongs to that index: its files may
differ from another's, so it is not kept in the repository.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def planned(extras: str = "weights") -> list[dict[str, Any]]:  # JSON of pip's installation report
    """What pip would install into an empty environment, from its own report."""
    command = [sys.executable, "-m", "pip", "--quiet", "install", "--dry-run", "--ignore-installed"]
    command += ["--report", "-", "--constraint", str(ROOT / "constraints.txt")]
    done = subprocess.run(
        [*command, f"{ROOT}[{extras}]"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)["install"]


def locked_lines(items: list[dict[str, Any]]) -> tuple[list[str], list[str]]:  # as above
    """Lines of the list, and names of what has no hash (a folder, a repository)."""
    lines: list[str] = []
    bare: list[str] = []
    for item in items:
        about = item["metadata"]
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if digest is None:
            bare.append(about["name"])
        else:
            lines.append(f"{about['name']}=={about['version']} --hash=sha256:{digest}")
    return sorted(lines, key=str.lower), bare


def main() -> int:
    """Write the list; 1 if pip cannot say what it would install."""
    if len(sys.argv) != 2:
        print("Give one file to write, e.g. requirements.lock.", file=sys.stderr)
        return 2
    try:
        lines, bare = locked_lines(planned())
    except subprocess.CalledProcessError as error:
        print(f"pip could not say what it would install:\n{error.stderr}", file=sys.stderr)
        return 1
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{sys.argv[1]}: {len(lines)} distributions; without a hash: {', '.join(bare) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
