"""Copy the miniature's backbones into the package, in half precision and without their heads.

python benchmarks/miniature/ship.py rungs src/medtransfer/models/pretrained
"""

import json
import sys
from pathlib import Path

import torch

from medtransfer.files import make_folder, sha256, write_text
from medtransfer.models.tensors import read_tensors, write_tensors
from medtransfer.recipes.miniature import SHIPPED, WIDTHS


def main() -> None:
    source, target = Path(sys.argv[1]), make_folder(Path(sys.argv[2]))
    for scale in SHIPPED:
        for width in WIDTHS:
            folder = source / f"tiny-{scale}-{width}"
            weights = read_tensors(folder / "model.safetensors")
            body = {n: w.to(torch.float16) for n, w in weights.items() if "head.fc" not in n}
            path = target / f"tiny-{scale}--{width}.safetensors"
            write_tensors(body, path)
            card = (folder / "README.md").read_text("utf-8")
            card = card.replace(f"# own/tiny-{scale}-{width}", f"# tiny-{scale}/{width}")
            note = (
                "Shipped in half precision and without the head. The SHA-256 above is of the file "
                "before that.\n"
            )
            write_text(path.with_suffix(".md"), f"{card}\n{note}")
            facts = json.loads((folder / "rung.json").read_text("utf-8"))
            print(f'    "tiny-{scale}/{width}": ("{sha256(path)}", {facts["images"]:_}),')


if __name__ == "__main__":
    main()
