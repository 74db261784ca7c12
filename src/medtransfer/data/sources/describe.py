"""A source's facts as text: for the terminal, for machines, and for its reference page."""

from dataclasses import asdict

from medtransfer.data.sources.catalog import overlaps_of
from medtransfer.data.sources.import_source import options_of
from medtransfer.data.sources.source import Option, Source

ACCESS = {
    "open": "open, no account needed",
    "registration": "after registration",
    "credentialed": "after training and a signed agreement",
    "agreement": "by a written agreement with its owners",
}


def facts_of(source: Source) -> dict[str, object]:
    """Everything but functions and the rules of the tables, as plain values."""
    facts = {name: value for name, value in asdict(source).items() if not callable(value)}
    for table in facts["tables"]:
        del table["rules"]
    return facts


def size_text(source: Source) -> str:
    """``112,120 images of 30,805 patients``; empty for the user's own data."""
    if source.images is None:
        return ""
    patients = f"{source.patients:,} patients" if source.patients else "patients not published"
    return (
        f"{source.images:,} images of {patients}"
        if source.patients
        else (f"{source.images:,} images, {patients}")
    )


def option_text(option: Option) -> str:
    """An option's sentence with its values and default."""
    allowed = f" One of {', '.join(option.allowed)}." if option.allowed else ""
    default = f" Default: {option.default}." if option.default else ""
    return option.doc + allowed + default


def table_text(source: Source) -> list[tuple[str, str, str]]:
    """Each table: its file, whether it is needed, what it holds."""
    return [(t.files[0], "yes" if t.needed else "no", t.holds) for t in source.tables]


def paragraphs(source: Source) -> list[tuple[str, str]]:
    """A source's facts, each under its word, in the order they are read."""
    overlaps = [
        f"{pair.one.upper()} and {pair.other.upper()}: {pair.why}. {pair.advice}".rstrip()
        for pair in overlaps_of(source)
    ]
    overlap_texts = [
        ("Size", size_text(source)),
        ("Access", ACCESS[source.access] if source.images else ""),
        ("Licence", " ".join(text for text in (source.licence, source.terms) if text)),
        ("From", source.url),
        ("Cite", source.citation),
        ("Facts", source.facts_from),
        ("Folder", "; ".join(source.layout)),
        ("Split", source.splits),
        ("Beware", " ".join(source.confounders)),
        ("Overlaps", " ".join(overlaps)),
    ]
    return [(word, text) for word, text in overlap_texts if text]


def details(source: Source) -> str:
    """All that is known of a source, as plain text."""
    lines = [f"{source.title} ({source.name}, {source.domain})"]
    lines += [f"{word + ':':<10}{text}" for word, text in paragraphs(source)]
    if source.tables:
        lines.append("Tables:")
        lines += [
            f"  {file}  {'needed' if needed == 'yes' else 'if there'}: {holds}"
            for file, needed, holds in table_text(source)
        ]
    if source.targets:
        lines.append("Targets: " + ", ".join(target.name for target in source.targets))
    for name, text in (source.attributes or {}).items():
        lines.append(f"  {name}: {text}")
    lines.append("Options (--option name=value):")
    lines += [f"  {o.name}: {option_text(o)}" for o in options_of(source)]
    return "\n".join(lines)
