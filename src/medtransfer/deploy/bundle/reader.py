"""A bundle as it is read: facts first, arrays and weights when they are asked for. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from medtransfer.deploy.bundle.archive import Archive, open_archive, write_archive
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.schema import SCHEMA_VERSION, BundleFacts, level_facts
from medtransfer.deploy.bundle.signature import Signature, read_signature, require_trusted, sign
from medtransfer.deploy.bundle.training_digests import DIGEST_BYTES, TrainingDigests
from medtransfer.errors import BundleError, fault_list, printable
from medtransfer.files import json_text

FACTS, CARD = "bundle.json", "MODEL_CARD.md"
PROMISED, TRAINING = "promised.safetensors", "training.safetensors"
PARITY = "parity.safetensors"
MAX_FACTS = 64 * 2**20
MAX_CARD = 4 * 2**20
MAX_ARRAYS = 2**31
SUFFIX = ".medt"

NumpyArrays = dict[str, NDArray[Any]]
_FACTS = TypeAdapter(BundleFacts)


def weights_name(member: int) -> str:
    """Entry of a member's weights."""
    return f"weights/{member}.safetensors"


def detectors_name(member: int) -> str:
    """Entry of the statistics of a member's detectors."""
    return f"detectors/{member}.safetensors"


def onnx_name(member: int) -> str:
    """Entry of a member's network in ONNX."""
    return "network.onnx" if member == 0 else f"network-{member}.onnx"


@dataclass(frozen=True, eq=False)
class PromisedCases:
    """Scores and labels of the study's own tuning and test cases, without ids.

    Patients have a number in an order that says nothing; rows are sorted by test set, use and
    patient. `validate` compares another hospital's cases with these.

    Attributes:
        logits: Of every member. [M, N, T]
        targets: 0 to 1, NaN where masked. [N, T]
        patient: [N]
        cohort: Number of the test set in `training.test_cohorts`. [N]
        is_test: False for tuning cases. [N]
        ood: Score of each detector, mean over members. [N, K]
    """

    logits: NDArray[np.float64]
    targets: NDArray[np.float64]
    patient: NDArray[np.int64]
    cohort: NDArray[np.int64]
    is_test: NDArray[np.bool_]
    ood: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bundle:
    """An opened bundle.

    Attributes:
        facts: Content of ``bundle.json``.
        archive: Its file.
    """

    facts: BundleFacts
    archive: Archive

    @property
    def path(self) -> Path:
        """The file."""
        return self.archive.path

    @property
    def digest(self) -> str:
        """SHA-256 that stands for the whole bundle."""
        return self.archive.digest

    @property
    def has_expired(self) -> bool:
        """True after its last day, in UTC."""
        return self.facts.expires is not None and datetime.now(UTC).date() > self.facts.expires

    @property
    def signature(self) -> Signature | None:
        """Its signature; None if it has none. `read_bundle` checks it against trusted keys."""
        raw = self.archive.signature
        return None if raw is None else read_signature(self.path.name, raw)

    @cached_property
    def card(self) -> str:
        """The model card, Markdown."""
        return self.archive.read(CARD, MAX_CARD).decode("utf-8", "replace")

    def weights(self, member: int) -> bytes:
        """The safetensors file of a member's weights."""
        return self.archive.read(weights_name(member))

    def onnx(self, member: int) -> bytes:
        """A member's network in ONNX; its digest is compared before anything opens it."""
        return self.archive.read(onnx_name(member), MAX_ARRAYS)

    def parity(self) -> NumpyArrays:
        """Inputs and outputs on which the ONNX networks were compared with torch.

        Returns:
            `pixels` uint8 [32, height, width, 3]; `images_of_case` [B, 32], 1 where an image
            belongs to a case; `features` [members, B, D] and `logits` [members, B, T] of torch in
            float32. Of networks that see clinical data `features_<member>` [B, D + C] and
            `clinical_<member>` [B, C].
        """
        return self._arrays(PARITY)

    def detectors(self, member: int) -> NumpyArrays:
        """Statistics of a member's detectors, for `gate.carried_detectors`."""
        return self._arrays(detectors_name(member))

    @cached_property
    def promised(self) -> PromisedCases:
        """Scores and labels of the study's own cases.

        Raises:
            BundleError: The arrays do not have the shapes that the facts need.
        """
        arrays = self._arrays(PROMISED)
        facts = self.facts
        cases = len(arrays["patient"]) if "patient" in arrays else 0
        shapes = {
            "logits": (facts.members, cases, len(facts.targets)),
            "targets": (cases, len(facts.targets)),
            "patient": (cases,),
            "cohort": (cases,),
            "is_test": (cases,),
            "ood": (cases, len(facts.detectors)),
        }
        self._require_shapes(PROMISED, arrays, shapes)
        promised = PromisedCases(
            logits=arrays["logits"].astype(np.float64),
            targets=arrays["targets"].astype(np.float64),
            patient=arrays["patient"].astype(np.int64),
            cohort=arrays["cohort"].astype(np.int64),
            is_test=arrays["is_test"].astype(np.bool_),
            ood=arrays["ood"].astype(np.float64),
        )
        labels = promised.targets[~np.isnan(promised.targets)]
        number = len(facts.training.test_cohorts)
        if not (
            np.isfinite(promised.logits).all()
            and ((labels >= 0) & (labels <= 1)).all()
            and ((promised.cohort >= 0) & (promised.cohort < number)).all()
        ):
            raise self._wrong(f"{PROMISED} holds numbers that are not allowed")
        return promised

    def predictions(self) -> pl.DataFrame:
        """The promised cases as a predictions table, with numbers in place of ids."""
        return promised_frame(self.facts, self.promised)

    @cached_property
    def training_digests(self) -> TrainingDigests:
        """Digests of the images and patients that the network was trained and tuned on."""
        arrays = self._arrays(TRAINING)
        shapes = {name: (len(array), DIGEST_BYTES) for name, array in arrays.items()}
        names = {"images", "patients"} if self.facts.training.has_patients else {"images"}
        self._require_shapes(TRAINING, arrays, {name: shapes.get(name, ()) for name in names})
        if any(array.dtype != np.uint8 for array in arrays.values()):
            raise self._wrong(f"{TRAINING} holds no digests")
        salt = bytes.fromhex(self.facts.training.salt)
        return TrainingDigests(salt, arrays["images"], arrays.get("patients"))

    def contents(self) -> dict[str, bytes]:
        """Every entry as it is stored, for a bundle that is made from this one."""
        return {name: self.archive.read(name) for name in self.archive.entries}

    def _arrays(self, name: str) -> NumpyArrays:
        content = self.archive.read(name, MAX_ARRAYS)
        try:
            return safetensors.numpy.load(content)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise self._wrong(f"{name} holds no arrays ({type(error).__name__})") from error

    def _require_shapes(
        self, name: str, arrays: NumpyArrays, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        wrong = set(arrays) != set(shapes)
        if wrong or any(arrays[key].shape != shape for key, shape in shapes.items()):
            raise self._wrong(f"the arrays of {name} do not have the shapes that {FACTS} needs")

    def _wrong(self, why: str) -> BundleError:
        return BundleError(
            f'Bundle "{self.path.name}" cannot be used: {why}. Ask for the bundle again.'
        )


def read_bundle(path: Path | str, *, trusted: Sequence[Path | str] = ()) -> Bundle:
    """Open a bundle and check its facts; weights and arrays are read when they are asked for.

    Args:
        path: The bundle.
        trusted: Files of public keys, one of which must have signed it; none for any bundle.

    Raises:
        BundleError: It is damaged, of another schema version, or holds what is not allowed; with
            `trusted` also if it is not signed, by another key, or was changed since.
        ConfigError: A file holds no public key.
    """
    path = Path(path)
    archive = open_archive(path)
    if trusted:
        keys = [Path(key) for key in trusted]
        raw = archive.signature
        signature = None if raw is None else read_signature(path.name, raw)
        require_trusted(path.name, archive.digest, signature, keys)
    facts = read_facts(path.name, archive.read(FACTS, MAX_FACTS))
    bundle = Bundle(facts, archive)
    _check_entries_of(bundle)
    carried_fit(facts)  # its calibrators are those of their kinds
    for level in facts.levels:
        carried_fit(level_facts(facts, level))
    return bundle


def write_bundle(
    path: Path, facts: BundleFacts, entries: Mapping[str, bytes], key: Path | None = None
) -> Bundle:
    """Write a bundle and open it again; the same facts and entries give the same bytes.

    Args:
        path: File to write.
        facts: Content of ``bundle.json``.
        entries: All other entries.
        key: File of the private key that signs it; None for no signature.

    Raises:
        StudyError: The disk is full or does not let itself be written to.
        ConfigError: The file holds no private key.
    """

    def signed(digest: str) -> bytes:
        return sign(digest, key).content() if key is not None else b""

    contents = {**entries, FACTS: facts_text(facts).encode()}
    write_archive(path, contents, None if key is None else signed)
    return read_bundle(path)


def facts_text(facts: BundleFacts) -> str:
    """Text of ``bundle.json``."""
    # left out where they say nothing, so that earlier versions read such bundles
    fields: dict[str, bool | set[str]] = {}
    if facts.input.framing.is_whole:
        fields["input"] = {"framing"}
    if not facts.clinical:
        fields["clinical"] = True
    if not facts.levels:
        fields["levels"] = True
    if not facts.further_training:
        fields["further_training"] = True
    return json_text(_FACTS.dump_python(facts, mode="json", exclude=cast("Any", fields)))


def array_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as a safetensors file; sorted, so that the same arrays give the same bytes."""
    tidy = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    return cast("bytes", cast("Any", safetensors.numpy).save(tidy))


def promised_frame(facts: BundleFacts, promised: PromisedCases) -> pl.DataFrame:
    """Promised cases as a predictions table: `case_id` and `patient_id` are numbers.

    Args:
        facts: Of the bundle.
        promised: Its cases.
    """
    cohorts = np.array(facts.training.test_cohorts)[promised.cohort]
    number = len(promised.patient)
    columns: dict[str, object] = {
        "case_id": [f"case {row}" for row in range(number)],
        "patient_id": [f"patient {patient}" for patient in promised.patient.tolist()],
        "cohort": cohorts.tolist(),
        "split": np.where(promised.is_test, "test", "tune").tolist(),
    }
    for column, name in enumerate(facts.names):
        targets = pl.Series(np.ascontiguousarray(promised.targets[:, column]))
        columns[f"target_{name}"] = targets.fill_nan(None)
    for column, detector in enumerate(facts.detectors):
        columns[f"ood_{detector.name}"] = np.ascontiguousarray(promised.ood[:, column])
    frame = pl.DataFrame(columns)
    members = [
        frame.select(
            pl.lit(facts.name).alias("run_id"),
            pl.lit(member, pl.Int64).alias("member"),
            *("case_id", "patient_id", "cohort", "split"),
            *(f"target_{name}" for name in facts.names),
            *(
                pl.Series(f"logit_{name}", np.ascontiguousarray(promised.logits[member, :, column]))
                for column, name in enumerate(facts.names)
            ),
            *(f"ood_{detector.name}" for detector in facts.detectors),
        )
        for member in range(facts.members)
    ]
    return pl.concat(members)


def read_facts(name: str, content: bytes) -> BundleFacts:
    """Facts of ``bundle.json``.

    Raises:
        BundleError: They are of another version, or not allowed.
    """
    try:
        facts = _FACTS.validate_json(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or FACTS}: {printable(fault['msg'], 120)}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        if any(fault.startswith("schema_version") for fault in faults):
            raise BundleError(
                f'Bundle "{name}" is of another schema version than {SCHEMA_VERSION}, which this '
                "version of medtransfer reads. Export it again, or install the version that wrote "
                "it."
            ) from error
        title = f'Bundle "{name}" cannot be used: its {FACTS} has what is not allowed'
        raise BundleError(fault_list(title, faults, "Ask for the bundle again.")) from error
    return facts


def _check_entries_of(bundle: Bundle) -> None:
    """Compare facts and entries.

    Raises:
        BundleError: Entries are missing or superfluous, or facts contradict each other.
    """
    facts = bundle.facts
    wanted = {FACTS, CARD, PROMISED, TRAINING}
    wanted |= {weights_name(member) for member in range(facts.members)}
    wanted |= {detectors_name(member) for member in range(facts.members)}
    if facts.onnx is not None:
        wanted |= {PARITY} | {onnx_name(member) for member in range(facts.members)}
    faults = [f"{name} is missing" for name in sorted(wanted - set(bundle.archive.entries))]
    extra = sorted(set(bundle.archive.entries) - wanted)
    faults += [f"{name} is no part of a bundle" for name in extra]
    names = facts.names
    if len(set(names)) < len(names):
        faults.append("two targets have the same name")
    columns = {tuple(column.name for column in of_member) for of_member in facts.clinical}
    if facts.clinical and (len(facts.clinical) != facts.members or len(columns) != 1):
        faults.append("its clinical data are not those of its networks")
    if (facts.case is not None) != (facts.task == "single-label"):
        faults.append("its fits are not those of its task")
    if any(tuple(t.name for t in level.targets) != names for level in facts.levels):
        faults.append("the targets of its levels are not its own")
    if facts.levels and facts.task == "single-label":
        faults.append("its levels are not for its task")
    if facts.task == "binary" and len(names) != 1:
        faults.append(f"a binary task has {len(names)} targets")
    if facts.task == "single-label" and len(names) < 2:
        faults.append("a single-label task has one target")
    if len(facts.training.run_ids) != facts.members:
        faults.append("it names another number of runs than it has members")
    of_levels = [target for level in facts.levels for target in level.targets]
    for target in (*facts.targets, *([facts.case] if facts.case else []), *of_levels):
        faults += [
            f"sets '{record.method}' of '{printable(target.name)}' have thresholds without names"
            for record in target.sets
            if len(record.names) != len(record.thresholds)
        ]
    if faults:
        raise BundleError(
            fault_list(f'Bundle "{bundle.path.name}" cannot be used', faults, "Ask for it again.")
        )
