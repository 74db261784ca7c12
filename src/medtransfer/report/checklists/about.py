"""Statements on a study that only people can make, from a YAML file."""

from pathlib import Path
from typing import cast

from medtransfer.errors import ConfigError, suggestion
from medtransfer.yaml_text import read_yaml

MAX_BYTES = 1_000_000
MAX_LETTERS = 4000
STATEMENTS = {
    "provider": "Who is responsible for the network.",
    "intended_use": "What it is meant for, and in which place of the care pathway.",
    "users": "Who would use it, and what they need to know.",
    "aims": "Aims and hypotheses.",
    "design": "Prospective or retrospective, and how cases were collected.",
    "setting": "Hospitals or practices, and their level of care.",
    "population": "Patients that it is meant for.",
    "eligibility": "Criteria of inclusion and exclusion, with numbers.",
    "data_source": "Where the images come from.",
    "dates": "First and last examination.",
    "acquisition": "Devices and protocols of the images.",
    "missing_data": "How missing images and labels came about, and what was done.",
    "deidentification": "How the images and tables were de-identified.",
    "reference_standard": "What the labels rest on: biopsy, follow-up, readers.",
    "reference_reason": "Why that reference standard was chosen.",
    "labelled_by": "Who labelled, with which training and tools, blinded to what.",
    "blinding": "What readers of images, and assessors of the reference standard, did not know.",
    "reader_variability": "Agreement between and within readers.",
    "severity": "Severity in patients with the finding, and other diagnoses in those without.",
    "interval": "Time and treatments between the images and the reference standard.",
    "adverse_events": "Harm by taking the images or by the reference standard.",
    "representativeness": "How far the cases are those of the intended use, and who is missing.",
    "inequalities": "Known differences in health or care between groups of people.",
    "sample_size": "How the size of the study was decided.",
    "ethics": "Approval: committee and number.",
    "consent": "Consent, or its waiver.",
    "patient_involvement": "Part of patients and the public in the study.",
    "registration": "Registry and number.",
    "protocol": "Where the protocol can be read.",
    "availability": "Where code, network and data can be had, and under which terms.",
    "funding": "Sources of funding and the role of funders.",
    "conflicts": "Financial interests of the authors, and commercial interests in the network.",
    "risks": "Foreseeable harms, and what is done about them.",
    "oversight": "How people oversee it and overrule it.",
    "changes": "Changes since the first version.",
    "standards": "Standards that are applied.",
    "declaration": "Declaration of conformity.",
    "monitoring": "How it is watched in use.",
    "logging": "What is logged in use, and for how long.",
    "governance": "Who answers for risks, audits, upkeep and errors.",
    "training": "Manuals and training for users.",
    "usability": "How users outside of the development tried it in their work, and what was found.",
    "utility": "What care with it was compared with: benefit, harm and cost.",
    "explanations": "Whether users need explanations, and how they were tried.",
    "stakeholders": "Who took part besides the developers, and in what.",
    "regulation": "Rules and laws that apply, and how they are met.",
    "identification": "Name and version of the product, and the date of its last change.",
    "authorisation": "Authorisation by authorities, with file numbers.",
    "deployment": "Computers that it needs; how a site installs, accepts and updates it.",
    "poor_images": "What is done in use with poor, unusual or missing images.",
    "security": "How it is protected against attacks and faults.",
    "society": "Effects on work, skills and society, and the energy it takes.",
}
"""Field of `about.yaml` to what it states."""
About = dict[str, str]
"""Statements by field; a field that nobody filled is missing."""


def read_about(path: Path) -> About:
    """Read the statements of an `about.yaml`.

    Raises:
        ConfigError: It cannot be read, has an unknown field, or a field is no text; all faults at
            once.
    """
    document, lines = read_yaml(path, MAX_BYTES)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(
            f'"{path.name}" holds no fields (allowed: lines such as `consent: waived`).'
        )
    faults: list[str] = []
    statements: About = {}
    for field, value in cast("dict[object, object]", document).items():
        place = f"{path.name}:{lines.get((str(field),), 1)}"
        if field not in STATEMENTS:
            hint = suggestion(str(field), list(STATEMENTS))
            faults.append(f"{place}: field '{field}' does not exist.{hint}")
        elif value is None or (isinstance(value, str) and not value.strip()):
            continue
        elif isinstance(value, (dict, list)) or len(str(value)) > MAX_LETTERS:
            faults.append(
                f"{place}: {field} must be a text of at most {MAX_LETTERS:,} letters, not a list."
            )
        else:
            statements[str(field)] = " ".join(str(value).split())
    if faults:
        allowed = ", ".join(STATEMENTS)
        raise ConfigError("\n".join([*faults, f"Fields: {allowed}."]))
    return statements


def about_template() -> str:
    """An `about.yaml` to fill in, each field with its meaning."""
    lines = [f"# {meaning}\n{field}:\n" for field, meaning in STATEMENTS.items()]
    head = "# Statements that only people can make; leave empty what is unknown.\n"
    return head + "".join(lines)
