"""Resources of a run: cores, GPUs or parts of one, and memory, by the nodes that there are."""

from typing import Any

import pytest
from tests.local_run import request

from medtransfer.engines.ray.resources import RayNode, Resources, resources_of
from medtransfer.errors import StudyError
from medtransfer.runs.messages import RunRequest
from medtransfer.study.config import Study

GIB = 2**30
LAPTOP = [RayNode(1, cpus=8, memory=16 * GIB)]
GPUS = [
    RayNode(1, cpus=2, memory=8 * GIB),  # a head without a GPU
    RayNode(2, cpus=32, gpus=4, memory=128 * GIB, gpu_bytes=24 * GIB),
    RayNode(3, cpus=64, gpus=4, memory=128 * GIB, gpu_bytes=48 * GIB),
]


def run(study: Study, threads: int | None = 1, **training: object) -> RunRequest:
    one = request(study)
    changed = one.run.training.model_copy(update={"device": "auto", "devices": 1} | training)
    settings = one.run.model_copy(update={"training": changed})
    return one.model_copy(update={"threads": threads, "run": settings})


def test_a_run_has_a_core_for_each_thread_of_each_process(tiny_study: Study) -> None:
    assert resources_of(run(tiny_study), LAPTOP) == Resources(1)
    assert resources_of(run(tiny_study, 3, devices=2), LAPTOP) == Resources(6)


def test_a_run_that_wants_more_than_any_node_has_one_alone(tiny_study: Study) -> None:
    assert resources_of(run(tiny_study, 40), LAPTOP) == Resources(8)


def test_a_run_without_a_number_of_threads_has_what_any_of_its_nodes_can_give(
    tiny_study: Study,
) -> None:
    smaller = [*LAPTOP, RayNode(2, cpus=6), RayNode(3, cpus=0)]  # the last only schedules
    assert resources_of(run(tiny_study, None), smaller).cpus == 6


def test_a_network_shares_a_gpu_only_with_as_many_as_fit_into_the_smallest(
    tiny_study: Study,
) -> None:
    gib = [(2, 0.125), (3, 0.125), (4, 0.25), (7, 0.5), (13, 1), (40, 1)]
    for needed, share in gib:
        taken = resources_of(run(tiny_study, None), GPUS, needed * GIB)
        assert taken == Resources(cpus=max(1, int(32 / (4 / share))), gpus=share)
        assert taken.gpus == 1 or needed * GIB <= taken.gpus * 24 * GIB


def test_a_network_whose_memory_is_not_known_has_a_gpu_alone(tiny_study: Study) -> None:
    assert resources_of(run(tiny_study), GPUS).gpus == 1
    assert resources_of(run(tiny_study, devices=4), GPUS, GIB).gpus == 4


def test_a_run_on_the_cpu_takes_memory_and_no_gpu(tiny_study: Study) -> None:
    on_cpu = run(tiny_study, device="cpu")
    assert resources_of(on_cpu, GPUS, 3 * GIB) == Resources(1, 0, 3 * GIB)
    assert resources_of(on_cpu, LAPTOP, 99 * GIB).memory == 16 * GIB  # it may still fit


@pytest.mark.parametrize(
    ("threads", "needed", "taken"),
    [
        (40, 100 * GIB, Resources(40, 0, 8 * GIB)),
        (4, 100 * GIB, Resources(4, 0, 100 * GIB)),
        (None, 200 * GIB, Resources(4, 0, 128 * GIB)),
        (99, GIB, Resources(64, 0, GIB)),
    ],
)
def test_what_a_run_takes_is_there_on_one_node(
    tiny_study: Study, threads: int | None, needed: int, taken: Resources
) -> None:
    nodes = [RayNode(1, cpus=64, memory=8 * GIB), RayNode(2, cpus=4, memory=128 * GIB)]
    assert resources_of(run(tiny_study, threads, device="cpu"), nodes, needed) == taken
    assert any(node.cpus >= taken.cpus and node.memory >= taken.memory for node in nodes)


def test_a_run_that_was_started_takes_the_cores_of_its_first_start(tiny_study: Study) -> None:
    assert resources_of(run(tiny_study, None), LAPTOP, cores=3).cpus == 3
    assert resources_of(run(tiny_study, None), LAPTOP, cores=40).cpus == 8


@pytest.mark.parametrize(
    ("training", "nodes", "message"),
    [
        ({"device": "cuda"}, LAPTOP, "takes 1 GPU of one node; .* have 0 at most"),
        ({"devices": 8}, GPUS, "takes 8 GPUs of one node; .* have 4 at most"),
        ({"device": "cpu"}, [RayNode(1, cpus=0)], "takes a core, and no node .* --num-cpus"),
        ({}, [RayNode(1, cpus=8), RayNode(2, cpus=0, gpus=2)], "takes 1 GPU .* 0 at most beside"),
    ],
)
def test_what_no_node_has_is_refused_and_not_waited_for(
    tiny_study: Study, training: dict[str, Any], nodes: list[RayNode], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        resources_of(run(tiny_study, **training), nodes)


def test_resources_become_options_of_a_task() -> None:
    assert Resources(2).options() == {"num_cpus": 2, "num_gpus": 0}
    assert Resources(4, 0.25, GIB).options() == {"num_cpus": 4, "num_gpus": 0.25, "memory": GIB}
