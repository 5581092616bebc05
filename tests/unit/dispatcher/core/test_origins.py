"""What made a job is read from the job itself."""

from __future__ import annotations

import pytest

from dispatcher.core.origins import Maker, Origin, origin_of


@pytest.mark.parametrize(
    ("order", "dispatch_id", "origin", "told"),
    [
        ("rule:greeter", "", Origin(Maker.RULE, "greeter"), "rule 'greeter'"),
        ("automatic:room", "", Origin(Maker.AUTOMATIC), "the automatic dispatch to unnamed workers"),
        ("bridge:AD_9", "", Origin(Maker.BRIDGE, "AD_9"), "the SFU's dispatch AD_9, through the bridge"),
        ("", "AD_1", Origin(Maker.DISPATCH, "AD_1"), "dispatch AD_1"),
        ("dispatch:AD_1:publisher", "AD_1", Origin(Maker.DISPATCH, "AD_1"), "dispatch AD_1"),
        ("", "", Origin(Maker.WORKER), "a worker, for itself"),
    ],
)  # fmt: skip
def test_each_maker_is_known(order: str, dispatch_id: str, origin: Origin, told: str) -> None:
    assert origin_of(order, dispatch_id) == origin
    assert origin.told() == told
