"""The tables of docs/loadtest.md: fields of a profile, and figures.

`python -m worker_sdk.loadtest.page docs/loadtest.md` writes them into the page anew; a test holds the
page against them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from worker_sdk.loadtest.figures import FIGURES
from worker_sdk.loadtest.profile import FIELDS
from worker_sdk.loadtest.profile_files import load_profile, profile_names

__all__ = ["tables", "with_tables"]


def tables() -> dict[str, str]:
    """Each table by the name of its place in the page."""
    profiles = ["| profile | what it is for |", "|---|---|"]
    profiles += [f"| `{name}` | {load_profile(name, {}).description} |" for name in profile_names()]
    fields = ["| field | default | what it is |", "|---|---|---|"]
    for field in FIELDS:
        default = f"{field.default}" if field.default not in ("", ()) else ""
        choices = f" One of {', '.join(field.choices)}." if field.choices else ""
        fields.append(f"| `{field.name}` | {default} | {field.help}{choices} |")
    figures = ["| figure | what it is |", "|---|---|"]
    figures += [f"| `{each.name}` | {each.help} |" for each in FIGURES]
    return {
        "profiles": "\n".join(profiles),
        "fields": "\n".join(fields),
        "figures": "\n".join(figures),
    }


def with_tables(page: str) -> str:
    """The page with its tables as they are to be."""
    for name, table in tables().items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, _, rest = page.partition(opening)
        page = f"{before}{opening}{table}\n{closing}{rest.partition(closing)[2]}"
    return page


if __name__ == "__main__":
    _path = Path(sys.argv[1])
    _path.write_text(with_tables(_path.read_text(encoding="utf-8")), encoding="utf-8")
