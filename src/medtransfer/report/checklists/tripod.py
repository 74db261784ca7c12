"""TRIPOD+AI: 27 items for studies that develop or evaluate a prediction model."""

from medtransfer.report.checklists.item import Checklist, Item

TRIPOD = Checklist(
    "TRIPOD+AI",
    "Collins et al., BMJ 2024, 385:e078378",
    (
        Item("1", "Title: model, population, outcome", ("networks",), ("population",), more=True),
        Item("2", "Abstract", ("answers",), more=True),
        Item("3", "Background: context, users, inequalities", told=("intended_use", "population")),
        Item("4", "Objectives: development or evaluation", ("questions",), ("aims",)),
        Item("5", "Sources and dates of the data", ("counts",), ("data_source", "dates")),
        Item("6", "Setting, eligibility and treatments", told=("setting", "eligibility")),
        Item("7", "Preparation of the data", ("images", "audit")),
        Item("8", "Outcome and its assessment", ("label_policy",), ("reference_standard",)),
        Item("9", "Predictors: the images", ("images",), ("acquisition",)),
        Item("10", "Sample size", ("detectable",), ("sample_size",)),
        Item("11", "Missing data", ("label_policy",), ("missing_data",)),
        Item("12", "Analytical methods", ("splits", "recipe", "metrics", "intervals")),
        Item("13", "Class imbalance", ("recipe", "counts")),
        Item("14", "Fairness: approaches", ("groups",)),
        Item("15", "Output of the model", ("decisions",)),
        Item("16", "Differences between training and evaluation data", ("counts", "shift")),
        Item("17", "Ethical approval and consent", told=("ethics", "consent")),
        Item(
            "18",
            "Funding, conflicts, protocol, registration, data and code",
            ("environment",),
            ("funding", "protocol", "registration", "availability"),
        ),
        Item("19", "Involvement of patients and the public", told=("patient_involvement",)),
        Item("20", "Flow and characteristics of participants", ("counts", "groups")),
        Item("21", "Numbers of participants and events in each analysis", ("counts",)),
        Item("22", "Specification of the full model", ("rung_facts", "recipe")),
        Item("23", "Performance, also in groups and by cluster", ("internal", "groups", "shift")),
        Item("24", "Updating of the model", ("updating",)),
        Item("25", "Interpretation, with fairness", ("answers",), more=True),
        Item("26", "Limitations", ("limits",), more=True),
        Item("27", "Use of the model in care", told=("intended_use", "users")),
    ),
)
