"""Terms of the clinic pages, each explained in one sentence."""

TERMS = (
    (
        "AUROC",
        (
            "Of a case with the finding and one without it, the probability that the network gives "
            "the first the higher score: 0.5 is guessing, 1 is perfect."
        ),
    ),
    (
        "95% range",
        (
            "Numbers in square brackets. If the study were repeated with other patients many "
            "times, 19 of 20 such ranges would hold the true value."
        ),
    ),
    ("Shown", "The whole range speaks for the sentence, so chance is an unlikely explanation."),
    (
        "Not shown",
        "The range allows both. That is not proof of the opposite: a larger study might show it.",
    ),
    ("Not studied", "The study did not look at the question."),
    ("Missed", "A case with the finding that the network calls negative."),
    ("Called", "A case that the network calls positive."),
    (
        "Threshold",
        "The score from which a case is called positive; a lower one misses less and calls more.",
    ),
    (
        "Network",
        (
            "A program that learned from images; its name says how large it is, and what it was "
            "trained on before it saw images of this study."
        ),
    ),
    ("Unlabelled", "A case of which nobody recorded whether it has the finding."),
)
"""Term to its explanation, in the order in which a reader meets them."""
