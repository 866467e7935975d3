"""What a run costs: hours, energy, money."""

from __future__ import annotations

from dataclasses import dataclass

from .formula import formula
from .step_time import StepTime


@formula("hours")
def training_hours(steps: int, seconds: float) -> float:
    """All steps one after the other; loading, evaluation and saving apart.

    所有步依次进行的时间；不含加载、评估和保存。
    """
    return steps * seconds / 3600


@formula("kWh")
def energy_kwh(hours: float, devices: int, watts: float) -> float:
    """What the devices take at the power limit of their data sheet: the most that it can be.

    各设备按标称功耗上限消耗的电能，即上限。
    """
    return hours * devices * watts / 1000


@formula("money")
def money(hours: float, devices: int, price: float) -> float:
    """What the devices cost at a price for each hour of each.

    按每设备每小时单价计算的费用。
    """
    return hours * devices * price


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of all steps together; a part is None where what it needs is not known."""

    hours: float
    low: float
    high: float
    """Ends of the interval around the hours."""
    devices: int
    watts: float | None
    """Power limit of one device."""
    price: float | None
    """Of one device for an hour."""

    @property
    def kwh(self) -> float | None:
        return None if self.watts is None else energy_kwh(self.hours, self.devices, self.watts)

    @property
    def money(self) -> float | None:
        return None if self.price is None else money(self.hours, self.devices, self.price)


def cost(
    steps: int, time: StepTime, devices: int, watts: float | None, price: float | None = None
) -> Cost:
    """What so many steps cost on so many devices."""
    return Cost(
        hours=training_hours(steps, time.seconds),
        low=training_hours(steps, time.low),
        high=training_hours(steps, time.high),
        devices=devices,
        watts=watts,
        price=price,
    )
