"""From a study, or from a bundle, to a bundle or a folder for another library."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from medtransfer.deploy.bundle.export import DEFAULTS, ExportOptions, export_bundle
from medtransfer.deploy.bundle.reader import SUFFIX, Bundle, read_bundle
from medtransfer.deploy.exchange.export_layout import Layout, check_layout, export_layout
from medtransfer.deploy.exchange.remake import REMADE, remake_bundle
from medtransfer.errors import ConfigError, listed
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.status import find_study

OnStage = Callable[[str], None]


def bundle_or_study(path: Path | None) -> StudyFolder | Path:
    """Bundle or study that a path on the command line names; the only study by default.

    Raises:
        StudyError: There is no such study.
    """
    return path if path is not None and path.suffix == SUFFIX else find_study(path)


def export_source(
    source: StudyFolder | Path,
    out: Path,
    *,
    rung: str | None = None,
    run_id: str | None = None,
    ensemble: bool = False,
    options: ExportOptions = DEFAULTS,
    layout: Layout | None = None,
    on_stage: OnStage = lambda _stage: None,
) -> Bundle:
    """Make a bundle of a study's network or of another bundle, or a folder for another library.

    Args:
        source: A study's folder, or a bundle.
        out: File to write; with `layout` a folder.
        rung: As for `export_bundle`; of a study alone, as the next two.
        run_id: One run.
        ensemble: All seeds of the rung together.
        options: What goes in beside the network.
        layout: Layout of another library, in place of a bundle.
        on_stage: Called with what is done next.

    Returns:
        The bundle that was made, or that the folder was made of.

    Raises:
        ConfigError: An option does not go with the source, or cannot be used.
        StudyError: The study cannot be used.
        BundleError: The bundle cannot be used.
    """
    if layout is not None:
        check_layout(out, layout)
        _refuse_bundle_options(options)
        if isinstance(source, Path) and source.suffix == SUFFIX:
            _refuse_study_options(options, chosen=bool(rung or run_id or ensemble))
            return _laid_out(read_bundle(source), out, layout)
        with TemporaryDirectory() as folder:
            bundle = export_bundle(
                source,
                Path(folder) / f"bundle{SUFFIX}",
                rung=rung,
                run_id=run_id,
                ensemble=ensemble,
                options=options,
                on_stage=on_stage,
            )
            return _laid_out(bundle, out, layout)
    if isinstance(source, Path) and source.suffix == SUFFIX:
        _refuse_study_options(options, chosen=bool(rung or run_id or ensemble))
        return remake_bundle(source, out, options, on_stage)
    return export_bundle(
        source,
        out,
        rung=rung,
        run_id=run_id,
        ensemble=ensemble,
        options=options,
        on_stage=on_stage,
    )


def _laid_out(bundle: Bundle, out: Path, layout: Layout) -> Bundle:
    export_layout(bundle, out, layout)
    return bundle


def _changed(options: ExportOptions) -> list[str]:
    return [
        field.name
        for field in fields(options)
        if getattr(options, field.name) != getattr(DEFAULTS, field.name)
    ]


def _refuse_study_options(options: ExportOptions, *, chosen: bool) -> None:
    """Refuse what only a study can give.

    Raises:
        ConfigError: An option needs a study.
    """
    faults = [name for name in _changed(options) if name not in REMADE]
    faults += ["rung, run or ensemble"] if chosen else []
    if faults:
        raise ConfigError(
            f"Of a bundle only {listed(REMADE)} and layout can be set; these need the study: "
            f"{listed(faults)}."
        )


def _refuse_bundle_options(options: ExportOptions) -> None:
    """Refuse what a folder for another library has no place for.

    Raises:
        ConfigError: An option needs a bundle.
    """
    faults = [name for name in _changed(options) if name in REMADE]
    if faults:
        raise ConfigError(f"--layout writes no bundle: {listed(faults)} has no place there.")
