"""What every detector keeps to: foreign is up, order does not matter, nothing is undefined."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.testing import assert_allclose
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from tests.metrics.drawn_cases import LAW
from tests.posthoc.drawn_networks import Network

from medtransfer.posthoc import ood_feature_scores
from medtransfer.posthoc.ood_detectors import (
    DETECTORS,
    flag_threshold,
    ood_scores,
)
from medtransfer.posthoc.ood_feature_scores import (
    Hopfield,
    Neighbours,
    OODReference,
    VirtualLogit,
)
from medtransfer.posthoc.ood_gaussians import Features
from medtransfer.posthoc.ood_logit_scores import (
    KLMatching,
    energy,
    gen,
    max_logit,
    max_probability,
)
from medtransfer.statistics.bootstrap import Floats

OF_FEATURES = [name for name, found in DETECTORS.items() if found.needs == "features"]
TASKS = pytest.mark.parametrize("single_label", [True, False], ids=["softmax", "sigmoids"])


def scores(name: str, trained: OODReference, features: Features, logits: Floats) -> Floats:
    return DETECTORS[name].fit(trained).score(features, logits)


def allowed(single_label: bool) -> list[str]:
    return [n for n, found in DETECTORS.items() if single_label or not found.single_label_only]


EVERY = [(name, single) for single in (True, False) for name in allowed(single)]
every_detector = pytest.mark.parametrize(("name", "single_label"), EVERY)


def some_logits(width: int | None = None) -> st.SearchStrategy[Floats]:
    shape = st.tuples(st.integers(1, 6), st.just(width) if width else st.integers(2, 5))
    return npst.arrays(np.float64, shape, elements=st.floats(-50, 50, width=32))


@TASKS
def test_the_names_are_those_of_the_catalogue_that_the_task_allows(single_label: bool) -> None:
    network = Network(single_label=single_label)
    found = ood_scores(network.trained(), *network.test())
    assert list(found) == allowed(single_label)
    assert ("kl_matching" in found) == single_label
    for name, values in found.items():
        assert_allclose(values, scores(name, network.trained(), *network.test()))


def test_only_the_detectors_that_need_features_see_them() -> None:
    network = Network()
    features, logits = network.test()
    for name, detector in DETECTORS.items():
        moved = scores(name, network.trained(), features + 7, logits)
        same = np.array_equal(moved, scores(name, network.trained(), features, logits))
        assert same == (detector.needs == "logits"), name


@pytest.mark.slow
@every_detector
@LAW
@given(data=st.data())
def test_order_of_cases_does_not_matter(name: str, single_label: bool, data: st.DataObject) -> None:
    network = Network(single_label=single_label)
    trained, (features, logits) = network.trained(24), network.test(6)
    turn, order = (np.array(data.draw(st.permutations(range(n)))) for n in (24, 6))
    turned = OODReference(
        trained.features[turn],
        trained.logits[turn],
        trained.targets[turn],
        trained.weight,
        trained.bias,
        trained.single_label,
    )
    once = scores(name, trained, features, logits)
    assert_allclose(scores(name, trained, features[order], logits[order]), once[order], rtol=1e-9)
    assert_allclose(scores(name, turned, features, logits), once, rtol=1e-6)


# 8 cases in 40 dimensions: fewer than dimensions, two for each class
few_or_many = pytest.mark.parametrize("cases", [400, 20, 8])


def found_among(name: str, trained: OODReference, foreign: Floats, network: Network) -> float:
    """AUROC of foreign features among those of other cases of the network's own kind."""
    near = network.test(80)
    values = scores(name, trained, *near), scores(name, trained, foreign, network.seen_by(foreign))
    return float(roc_auc_score(np.repeat([0, 1], [80, len(foreign)]), np.concatenate(values)))


@pytest.mark.parametrize("cases", [400, 20])
@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis", "knn", "residual", "she"])
@TASKS
def test_a_cluster_on_the_other_side_of_the_origin_is_found(
    name: str, single_label: bool, cases: int
) -> None:
    # not by vim: there the head is sure of itself, and its energy outdoes the residual
    network = Network(width=40, single_label=single_label)
    foreign = -3 * network.test(80, draw=2)[0]
    assert found_among(name, network.trained(cases), foreign, network) > 0.99


@few_or_many
@pytest.mark.parametrize("name", ["mahalanobis", "knn", "vim", "residual"])
@TASKS
def test_cases_far_away_are_found_though_the_head_does_not_see_them(
    name: str, single_label: bool, cases: int
) -> None:
    network = Network(width=40, single_label=single_label)
    foreign, logits = network.test(80, far=60.0)
    assert_allclose(logits, network.test(80)[1], atol=1e-9)
    assert found_among(name, network.trained(cases), foreign, network) > 0.99


def test_relative_mahalanobis_looks_only_where_classes_differ() -> None:
    # as it is meant to: a direction in which no class differs cancels out
    network = Network()
    trained, (near, logits) = network.trained(), network.test(80)
    gaussians = trained.gaussians
    unseen = np.linalg.svd(gaussians.means)[2][-1]
    back = np.linalg.inv(gaussians.map.of(np.eye(network.width)))
    moved = near + 50 * unseen @ back
    once, again = (scores("relative_mahalanobis", trained, x, logits) for x in (near, moved))
    assert_allclose(again, once, atol=1e-6)
    assert scores("mahalanobis", trained, moved, logits).min() > 1000


@pytest.mark.parametrize("name", [n for n in DETECTORS if DETECTORS[n].needs == "logits"])
def test_a_network_that_is_less_sure_finds_a_case_more_foreign(name: str) -> None:
    network = Network(classes=3)
    features, _ = network.test(3)
    sure = 8 * np.eye(3) - 2
    unsure = 0.2 * np.eye(3) - 0.1
    trained = network.trained()
    clear = OODReference(features, sure, np.eye(3), trained.weight, trained.bias, single_label=True)
    assert (scores(name, clear, features, unsure) > scores(name, clear, features, sure)).all()


@LAW
@given(logits=some_logits(), shift=st.floats(-30, 30))
def test_a_softmax_does_not_see_a_constant_and_max_logit_and_energy_move_by_it(
    logits: Floats, shift: float
) -> None:
    for detector in (max_probability, gen):
        once, moved = (detector(x, single_label=True) for x in (logits, logits + shift))
        assert_allclose(moved, once, rtol=1e-6, atol=1e-12)
    matching = KLMatching.fit(logits)
    assert_allclose(
        KLMatching.fit(logits + shift).score(None, logits - shift),
        matching.score(None, logits),
        atol=1e-6,
    )
    assert_allclose(max_logit(logits + shift), max_logit(logits) - shift, atol=1e-9)
    moved = energy(logits + shift, single_label=True)
    assert_allclose(moved, energy(logits, single_label=True) - shift, atol=1e-9)


@LAW
@given(logits=some_logits(1))
def test_a_binary_target_is_a_softmax_over_its_logit_and_zero(logits: Floats) -> None:
    pairs = np.concatenate([np.zeros_like(logits), logits], axis=1)
    for detector in (max_probability, energy, gen):
        one, two = detector(logits, single_label=False), detector(pairs, single_label=True)
        assert_allclose(one, two, rtol=1e-9)


@LAW
@given(logits=some_logits())
def test_energy_and_entropy_of_several_targets_are_the_sums_over_them(logits: Floats) -> None:
    for detector in (energy, gen):
        parts = [detector(column[:, None], single_label=False) for column in logits.T]
        assert_allclose(detector(logits, single_label=False), np.sum(parts, axis=0), rtol=1e-9)
    parts = [max_probability(column[:, None], single_label=False) for column in logits.T]
    found = max_probability(logits, single_label=False)
    assert_allclose(found, np.min(parts, axis=0), rtol=1e-12)
    assert_allclose(max_logit(logits), -logits.max(axis=1))


def test_known_values_by_hand() -> None:
    level = np.zeros((1, 4))
    assert max_probability(level, single_label=True) == pytest.approx(0.75)
    assert max_probability(level, single_label=False) == pytest.approx(0.5)
    assert energy(level, single_label=True) == pytest.approx(-np.log(4))
    assert energy(level, single_label=False) == pytest.approx(-4 * np.log(2))
    assert gen(level, single_label=True) == pytest.approx(4 * (0.25 * 0.75) ** 0.1)
    assert gen(level, single_label=False) == pytest.approx(8 * 0.25**0.1)
    one = np.log([[0.7, 0.2, 0.1]])
    templates = KLMatching.fit(np.log([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]))
    assert_allclose(np.exp(templates.templates), [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    assert templates.score(None, one) == pytest.approx(0, abs=1e-12)
    other = np.log([[0.5, 0.4, 0.1]])
    expected = 0.5 * np.log(0.5 / 0.7) + 0.4 * np.log(2)
    assert templates.score(None, other) == pytest.approx(expected)


def test_surer_logits_than_a_probability_can_hold_keep_their_order() -> None:
    sure = np.array([[40.0, 0.0], [80.0, 0.0], [600.0, 0.0]])
    for single_label in (True, False):
        for detector in (max_probability, gen):
            assert (np.diff(detector(sure, single_label=single_label)) < 0).all()
    assert_allclose(max_probability(sure, single_label=True), expit(-sure[:, 0]), rtol=1e-9)


@pytest.mark.slow
@every_detector
@LAW
@given(data=st.data(), cases=st.integers(1, 7))
def test_scores_are_finite_whatever_the_training_cases(
    name: str, single_label: bool, data: st.DataObject, cases: int
) -> None:
    """Few, equal, all of one class, all masked; features of zeros; logits of any size."""
    numbers = st.sampled_from([0.0, 0.0, 1.0, -1.0, 3.5, 1e-3, 1e4])
    width, targets = 5, 3
    draw = lambda shape: data.draw(npst.arrays(np.float64, shape, elements=numbers))  # noqa: E731
    truth = data.draw(
        npst.arrays(np.float64, (cases, targets), elements=st.sampled_from([0, 1, 0.5, np.nan]))
    )
    trained = OODReference(
        draw((cases, width)).astype(np.float32),
        draw((cases, targets)),
        truth,
        draw((targets, width)),
        draw((targets,)),
        single_label,
    )
    found = scores(name, trained, draw((4, width)).astype(np.float32), draw((4, targets)))
    assert found.shape == (4,)
    assert np.isfinite(found).all()


def test_outputs_that_are_not_finite_have_no_score() -> None:
    network = Network()
    features, logits = network.test(5)
    features[2, 3] = np.inf
    found = ood_scores(network.trained(), features, logits)
    assert list(found) == list(DETECTORS)
    assert all(np.isnan(values).all() and len(values) == 5 for values in found.values())


def of_targets(targets: Floats, features: Floats | None = None, **changes) -> OODReference:
    count, width = targets.shape
    features = np.eye(count, 4) if features is None else features
    parts = {
        "logits": np.zeros((count, width)),
        "weight": np.zeros((width, 4)),
        "bias": np.zeros(width),
        "single_label": False,
    }
    return OODReference(features=features, targets=targets, **(parts | changes))


def test_the_classes_of_several_targets_are_each_target_and_none() -> None:
    nan = np.nan
    truth = np.array([[1, 0], [1, 1], [0, 0], [nan, 1], [nan, 0], [0.4, nan], [0.5, 0]])
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert_allclose(of_targets(truth).memberships, expected)
    single = of_targets(np.eye(3)[[2, 0]], single_label=True)
    assert_allclose(single.memberships, [[0, 0, 1], [1, 0, 0]])


def test_patterns_are_of_the_cases_predicted_rightly_else_of_all_the_class_has() -> None:
    truth = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [0, 0]])
    logits = np.array([[2.0, -1], [-1, -1], [-1, -3], [-2, -1], [1, 0]])
    features = np.arange(20.0).reshape(5, 4)
    found = Hopfield.fit(of_targets(truth, features, logits=logits))
    rightly, all_of_it, none = features[0], features[2:4].mean(axis=0), features[4]
    assert_allclose(found.patterns, [rightly, all_of_it, none])
    # predicted: the first target, the second, none of them
    asked = np.array([[3.0, 2], [-1, 0.5], [-1, 0]])
    assert_allclose(found.score(np.ones((3, 4)), asked), -found.patterns.sum(axis=1))
    empty = Hopfield.fit(of_targets(truth[:2], features[:2], logits=logits[:2]))
    assert_allclose(empty.patterns[1:], [features[:2].mean(axis=0)] * 2)


def test_the_virtual_logit_has_the_size_of_the_others_on_training_cases() -> None:
    for single_label in (True, False):
        trained = Network(width=40, single_label=single_label).trained()
        found = VirtualLogit.fit(trained)
        residuals = found.principal.residual(trained.features)
        sizes = trained.logits if single_label else np.abs(trained.logits)
        assert found.factor * residuals.mean() == pytest.approx(sizes.max(axis=1).mean())
        assert found.factor > 0


def test_a_head_without_a_positive_logit_has_no_virtual_one_that_pulls_down() -> None:
    network = Network(width=40)
    features, logits, classes = network.cases(60, 0)
    trained = network.of(features, logits - 100, classes)
    assert trained.logits.max() < 0
    found = VirtualLogit.fit(trained).score(features, trained.logits)
    assert_allclose(found, energy(trained.logits, single_label=True))


@pytest.mark.parametrize(
    ("cases", "k"), [(1, 1), (19, 1), (20, 2), (499, 49), (500, 50), (9000, 50)]
)
def test_the_neighbour_is_the_fiftieth_or_lies_a_tenth_of_few_cases_away(
    cases: int, k: int
) -> None:
    assert Neighbours.fit(of_targets(np.zeros((cases, 1)))).k == k


def test_neighbours_are_drawn_once_for_all_from_many_cases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ood_feature_scores, "MAX_BANK", 100)
    trained = Network().trained(300)
    banks = [Neighbours.fit(trained).bank for _ in range(2)]
    assert len(banks[0]) == 100
    assert np.array_equal(banks[0], banks[1])
    places = [int(np.flatnonzero((trained.features == case).all(axis=1))[0]) for case in banks[0]]
    assert places == sorted(set(places))
    assert max(places) > 250


@LAW
@given(
    values=st.lists(st.integers(-20, 20), min_size=1, max_size=60),
    keep=st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 1.0]),
)
def test_a_threshold_keeps_at_least_its_share_and_a_lower_one_does_not(
    values: list[int], keep: float
) -> None:
    tune = np.array(values, dtype=np.float64)
    threshold = flag_threshold(tune, keep)
    assert threshold is not None
    assert (tune <= threshold).mean() >= keep - 1e-12
    lower = tune[tune < threshold]
    assume(len(lower))
    assert (tune <= lower.max()).mean() < keep


def test_thresholds_by_hand() -> None:
    tune = np.arange(20.0)
    assert flag_threshold(tune) == 18
    assert (tune <= 18.0).mean() == 0.95
    assert flag_threshold(tune, 1.0) == 19
    assert flag_threshold(np.arange(100.0), 0.55) == 54  # 0.55 · 100 is a little over 55
    assert flag_threshold(np.array([])) is None


def test_the_catalogue_says_what_each_detector_is() -> None:
    assert list(DETECTORS) == [
        "max_probability",
        "max_logit",
        "energy",
        "gen",
        "kl_matching",
        "mahalanobis",
        "relative_mahalanobis",
        "knn",
        "vim",
        "residual",
        "she",
    ]
    for name, detector in DETECTORS.items():
        assert detector.name == name
        assert all((detector.title, detector.formula, detector.reference))
        assert any(year in detector.reference for year in map(str, range(2017, 2024)))
