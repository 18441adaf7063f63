"""A few rounds of `make soak`, so that every change is tried under it."""

from __future__ import annotations

from tests.deployment import Deployment
from tests.faults.soak import Campaign

SEED = 30
"""With this one, some sessions are ready before the first kill, and one is hit in round two."""


def test_a_hub_killed_at_random_under_load_comes_to_rest_with_its_books_in_order(
    deployment: Deployment,
) -> None:
    campaign = Campaign(deployment, SEED, print)
    campaign.run(3)
    assert campaign.tally.kills >= 3
    assert campaign.tally.accepted
