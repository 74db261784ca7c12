"""Terms of the clinic pages, each explained in one sentence."""

from medtransfer.language.translation import template

TERMS = (
    (
        template("AUROC"),
        template(
            "Of a case with the finding and one without it, the probability that the network gives "
            "the first the higher score: 0.5 is guessing, 1 is perfect."
        ),
    ),
    (
        template("95% range"),
        template(
            "Numbers in square brackets. If the study were repeated with other patients many "
            "times, 19 of 20 such ranges would hold the true value."
        ),
    ),
    (
        template("Shown"),
        template("The whole range speaks for the sentence, so chance is an unlikely explanation."),
    ),
    (
        template("Not shown"),
        template(
            "The range allows both. That is not proof of the opposite: a larger study might "
            "show it."
        ),
    ),
    (template("Not studied"), template("The study did not look at the question.")),
    (template("Missed"), template("A case with the finding that the network calls negative.")),
    (template("Called"), template("A case that the network calls positive.")),
    (
        template("Threshold"),
        template(
            "The score from which a case is called positive; a lower one misses less and calls "
            "more."
        ),
    ),
    (
        template("Network"),
        template(
            "A program that learned from images; its name says how large it is, and what it was "
            "trained on before it saw images of this study."
        ),
    ),
    (
        template("Unlabelled"),
        template("A case of which nobody recorded whether it has the finding."),
    ),
)
"""Term to its explanation, in the order in which a reader meets them."""
