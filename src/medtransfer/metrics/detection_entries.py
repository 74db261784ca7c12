"""Metrics whose target is a detector of foreign inputs: one cohort's scores against home's.

They stand beside the catalogue's other entries, but are of two cohorts and not of a target.
"""

from medtransfer.metrics.metric import Metric

FOUND = 0.95
"""Share of foreign cases that must be found where false alarms are counted."""
HENDRYCKS = "Hendrycks and Gimpel 2017"

ENTRIES = (
    Metric(
        "foreign_auroc", "AUROC of foreign against home", "higher", 0, 1, "both",
        "P(score of a foreign case above that of a case at home) + ½ P(equal)", HENDRYCKS,
    ),
    Metric(
        "foreign_auprc", "AUPRC of foreign against home", "higher", 0, 1, "both",
        "average precision, foreign cases positive", HENDRYCKS,
    ),
    Metric(
        "foreign_fpr95", "False alarms at home where 95 % of the foreign are found", "lower", 0, 1,
        "both", "share of cases at home flagged when 95 % of the foreign ones are",
        "Liang, Li and Srikant 2018",
    ),
    Metric(
        "flagged", "Flagged as foreign", "neither", 0, 1, "case",
        "share of cases above the score that 95 % of tune stay below", "this project",
    ),
)  # fmt: skip
