"""Annex IV of the EU AI Act: the 9 points of the technical documentation."""

from medtransfer.report.checklists.item import Checklist, Item

ANNEX_IV = Checklist(
    "EU AI Act, Annex IV",
    "Regulation (EU) 2024/1689, Annex IV",
    (
        Item(
            "1",
            "General description: purpose, provider, versions, hardware, interface",
            ("environment", "networks"),
            ("intended_use", "provider", "users"),
        ),
        Item(
            "2",
            "Elements and development: design, data, oversight, validation, security",
            ("rung_facts", "recipe", "splits", "counts", "label_policy", "internal"),
            ("oversight",),
            more=True,
        ),
        Item(
            "3",
            "Monitoring, functioning and control: limits, accuracy for groups, unintended outcomes",
            ("internal", "groups", "limits"),
            ("oversight", "risks"),
        ),
        Item("4", "Suitability of the performance metrics", ("metrics",), more=True),
        Item("5", "Risk management", told=("risks",), more=True),
        Item("6", "Changes through the life cycle", told=("changes",)),
        Item("7", "Harmonised standards or other solutions", told=("standards",)),
        Item("8", "EU declaration of conformity", told=("declaration",)),
        Item("9", "Evaluation after the market: monitoring plan", told=("monitoring",)),
    ),
)
