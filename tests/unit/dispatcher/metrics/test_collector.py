"""Words of workers that are ignored are counted by reason, and each reason begins at 0."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from dispatcher.core.effects import Ignored
from dispatcher.metrics.collector import IGNORED_BY_CONNECTIONS, ignored_words
from dispatcher.server import worker_session


def test_each_reason_is_there_before_its_first_word_so_that_an_increase_is_seen() -> None:
    counts = ignored_words({}, {})
    assert set(counts) == {*IGNORED_BY_CONNECTIONS, *(why.value for why in Ignored)}
    assert set(counts.values()) == {0}


def test_what_engine_and_connections_ignore_is_added_up() -> None:
    counts = ignored_words(
        Counter({Ignored.REGISTERED_TWICE: 2}), Counter(registered_twice=1, unreadable=3)
    )
    assert (counts["registered_twice"], counts["unreadable"]) == (3, 3)


def test_every_reason_of_a_connection_is_known() -> None:
    source = Path(worker_session.__file__).read_text()
    reasons = set(re.findall(r'note_ignored\(\s*"(\w+)"', source))
    assert reasons - {why.value for why in Ignored} == set(IGNORED_BY_CONNECTIONS)
