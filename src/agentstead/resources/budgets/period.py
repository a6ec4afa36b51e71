"""Periods of budgets, in UTC."""

from datetime import UTC, datetime, timedelta

PERIODS = ("total", "day", "month")


def begins(period: str, now: float, created: datetime) -> datetime:
    """When the period began that `now` lies in; one in total begins when its budget is made."""
    at = datetime.fromtimestamp(now, UTC)
    if period == "total":
        return created
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if period == "day" else midnight.replace(day=1)


def ends(period: str, starts_at: datetime) -> datetime | None:
    """When the period ends that began then; None: never."""
    if period == "total":
        return None
    if period == "day":
        return starts_at + timedelta(days=1)
    return (starts_at.replace(day=1) + timedelta(days=32)).replace(day=1)
