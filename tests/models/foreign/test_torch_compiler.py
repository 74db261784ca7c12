"""Torch's compiler stays away until something calls it, and is whole when it does."""

import subprocess
import sys

import pytest

CODE = """
import sys
from medtransfer.models import backbones
assert "torch._dynamo" not in sys.modules
assert "torch._dynamo.utils" not in sys.modules
import torch
from torchvision.ops import roi_align
boxes = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
cut = roi_align(torch.arange(64.0).reshape(1, 1, 8, 8), boxes, output_size=2, sampling_ratio=1)
assert cut.shape == (1, 1, 2, 2), cut.shape
import torch._dynamo.utils
assert torch._dynamo.utils.__file__.endswith("utils.py")
assert torch._dynamo.utils.is_compile_supported("cpu") in (True, False)

@torch.compiler.disable
def doubled(x):
    return 2 * x

assert doubled(2) == 4
from timm.models.naflexvit import NaFlexEmbeds
assert NaFlexEmbeds._apply_learned_naflex_pos_embed.__name__ == "_apply_learned_naflex_pos_embed"
assert not any(type(finder).__name__ == "_Watch" for finder in sys.meta_path)
"""


@pytest.mark.slow
def test_networks_load_without_the_compiler_and_it_works_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)


EARLIER = """
import sys
from medtransfer.models.foreign.torch_compiler import late_compiler
with late_compiler():
    import torch._dynamo
assert torch._dynamo.utils.__file__.endswith("utils.py")
assert sys.modules["torch._dynamo.utils"] is torch._dynamo.utils
"""


@pytest.mark.slow
def test_the_compiler_itself_can_be_imported_inside() -> None:
    subprocess.run([sys.executable, "-c", EARLIER], check=True)
