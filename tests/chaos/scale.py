"""How large a run is: people, bots, what is sent, and how long the storm lasts."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Say how much of everything there is.

    `trouble_seconds` is the mean pause between two troubles, `longest_outage` how long the longest network
    fault lasts. `settle_seconds` bounds the wait for the end of everything.
    """

    alpaca_users: int
    blofin_users: int
    paper_users: int
    bots_each: int
    listeners: int
    alerts: int
    messages: int
    posts: int
    storm_seconds: float
    trouble_seconds: float
    longest_outage: float
    settle_seconds: float
    workers: int

    @property
    def users(self) -> int:
        """Return how many users there are."""
        return self.alpaca_users + self.blofin_users + self.paper_users

    def lasting(self, seconds: float) -> "Scale":
        """Return the same people with a storm of another length, and as much sent in each second."""
        share = seconds / self.storm_seconds
        return replace(
            self,
            storm_seconds=seconds,
            alerts=round(self.alerts * share),
            messages=round(self.messages * share),
            posts=round(self.posts * share),
        )


FULL = Scale(
    alpaca_users=11, blofin_users=7, paper_users=2, bots_each=10, listeners=4,
    alerts=3000, messages=3000, posts=300,
    storm_seconds=600.0, trouble_seconds=6.0, longest_outage=8.0, settle_seconds=420.0, workers=2,
)  # fmt: skip
SHORT = Scale(
    alpaca_users=2, blofin_users=2, paper_users=1, bots_each=5, listeners=2,
    alerts=150, messages=200, posts=12,
    storm_seconds=30.0, trouble_seconds=2.0, longest_outage=3.0, settle_seconds=150.0, workers=1,
)  # fmt: skip
