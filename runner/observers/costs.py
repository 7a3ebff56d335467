"""What a network costs, and what a training uses of the machine: values by which runs are compared besides accuracy."""

from typing import Final

from runner import energy, memory
from runner.network import Network
from runner.placement import Placement

NAMES: Final = ("parameters", "multiply_adds", "receptive_field", "peak_memory_mb", "energy_joules")


def of_network(network: Network) -> dict[str, float]:
    """The parameters, and for one image the multiply-adds and the receptive field in pixels along its longer axis."""
    totals = network.totals
    found = {"parameters": float(totals.parameters), "multiply_adds": float(totals.multiply_adds)}
    return found | ({"receptive_field": float(max(totals.receptive_field))} if totals.receptive_field else {})


class Spending:
    """The memory and the energy that this process uses, from here on: of one training, or of a whole sweep."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._meter = energy.Meter()

    def note(self) -> None:
        """Reads the energy counters, which must happen every few minutes: they start again from 0."""
        self._meter.joules()

    def totals(self) -> dict[str, float]:
        """The peak of the memory in MB, and the energy of the processors in joules; each only if it can be read."""
        peak, joules = self._placement.peak_memory_bytes or memory.peak_bytes(), self._meter.joules()
        found = {"peak_memory_mb": peak and peak / 1e6, "energy_joules": joules}
        return {name: value for name, value in found.items() if value is not None}
