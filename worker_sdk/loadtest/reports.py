"""Where a report goes: a folder with all its forms, or one file in the form that its ending says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protocol.errors import ConfigError
from worker_sdk.loadtest.report_html import html_report
from worker_sdk.loadtest.report_text import text_report

if TYPE_CHECKING:
    from worker_sdk.loadtest.results import Results

__all__ = ["ReportPlace"]


def _json_report(results: Results) -> str:
    return json.dumps(results.as_json(), indent=1, ensure_ascii=False) + "\n"


_FORMS: Mapping[str, Callable[[Results], str]] = {
    ".html": html_report,
    ".json": _json_report,
    ".txt": text_report,
}


@dataclass(frozen=True, slots=True)
class ReportPlace:
    """The files that are to be written."""

    paths: tuple[Path, ...]

    @classmethod
    def prepare(cls, chosen: Path) -> ReportPlace:
        """See, before the run, that the report can be written. Raises ConfigError."""
        is_file = chosen.suffix in _FORMS and not chosen.is_dir()
        folder = chosen.parent if is_file else chosen
        if not is_file and chosen.suffix and not chosen.is_dir():
            raise ConfigError(
                f"--report: must be a folder or end in {', '.join(_FORMS)}, not {chosen.name!r}"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".{chosen.name}.callboard"
            probe.touch()
            probe.unlink()
        except OSError as error:
            why = (error.strerror or "cannot be written").lower()
            raise ConfigError(f"--report: {folder}: {why}") from None
        if is_file:
            return cls((chosen,))
        return cls(tuple(folder / f"report{ending}" for ending in _FORMS))

    def write(self, results: Results) -> tuple[Path, ...]:
        """Write the files, over what is there; returns them."""
        for path in self.paths:
            path.write_text(_FORMS[path.suffix](results), encoding="utf-8")
        return self.paths
