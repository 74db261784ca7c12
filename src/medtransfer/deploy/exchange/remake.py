"""A bundle with additions: networks in ONNX, a signature, a last day, an older one it replaces."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medtransfer.deploy.bundle.card import bundle_card
from medtransfer.deploy.bundle.export import ExportOptions, check_options, superseded
from medtransfer.deploy.bundle.reader import CARD, FACTS, SUFFIX, Bundle, read_bundle, write_bundle
from medtransfer.errors import ConfigError

REMADE = ("onnx", "sign", "expires", "supersedes")
"""Options that can be set on a bundle that exists."""


def remake_bundle(
    bundle: Path | str,
    out: Path | str,
    options: ExportOptions,
    on_stage: Callable[[str], None] = lambda _stage: None,
) -> Bundle:
    """Make a bundle of another one, with additions; its network stays what it is.

    A signature alone leaves the bundle's digest as it is.

    Args:
        bundle: The bundle.
        out: File to write; its name ends in ``.medt``.
        options: Those of `REMADE` are taken.
        on_stage: Called with what is done next.

    Returns:
        The new bundle.

    Raises:
        ConfigError: The file's name or the key cannot be used, or a package is not installed.
        BundleError: A bundle is damaged, or its network cannot be exported to ONNX.
    """
    out = Path(out)
    if out.suffix != SUFFIX:
        raise ConfigError(f'"{out.name}" does not end in {SUFFIX}: name the bundle so.')
    check_options(options)
    given = read_bundle(bundle)
    entries = {name: content for name, content in given.contents().items() if name != FACTS}
    facts = superseded(given.facts, options.supersedes)
    if options.expires is not None:
        facts = replace(facts, expires=options.expires)
    if facts != given.facts:
        entries[CARD] = bundle_card(facts).encode()
    if options.onnx and facts.onnx is None:
        from medtransfer.deploy.exchange.onnx_graph import with_onnx

        on_stage("exporting to ONNX")
        facts, entries = with_onnx(facts, entries)
    on_stage("writing the bundle")
    return write_bundle(out, facts, entries, options.sign)
