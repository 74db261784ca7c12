"""Weights of the rungs of a study."""

from medtransfer.errors import WeightsError
from medtransfer.models.weight_files import model_digest, require_fitting_weights
from medtransfer.study.config import Study


def weights_of(study: Study) -> dict[str, str | None]:
    """Digest of each rung's weights; raises a `WeightsError` that names all that are missing."""
    digests: dict[str, str | None] = {}
    faults: list[str] = []
    for entry in study.rungs:
        model = study.model_of(entry)
        try:
            if model.weights is not None:
                require_fitting_weights(model)
            digests[entry.rung] = model_digest(model)
        except WeightsError as error:
            faults.append(str(error))
    if faults:
        raise WeightsError("\n".join(faults))
    return digests
