"""The layers of a network by their paths, and the layer that explanations look at.

>>> last_spatial(network), named_layer(network, "layers[0]")
('1_relu', '0_conv')
"""

from runner.errors import ConfigError, Fault
from runner.layers import places
from runner.layers.base import FeatureMap, Row, shape_text
from runner.network import Network


def rows_by_path(network: Network) -> dict[str, Row]:
    """The row of each layer by its path. A layer without a row of its own ends like the last layer inside it."""
    own = {row.located.path: row for row in network.rows}
    found: dict[str, Row] = {}
    for _, path in network.located():
        if path in own:
            found[path] = own[path]
        elif inside := [row for other, row in own.items() if other.startswith(f"{path}.")]:
            found[path] = inside[-1]
    return found


def is_spatial(row: Row) -> bool:
    """Whether a layer's output is a feature map of two axes with more than one position."""
    shape = row.output.shape
    return len(shape) == 3 and shape[0] * shape[1] > 1


def last_spatial(network: Network) -> str | None:
    """The path of the last layer with a feature map of more than one position; None if there is none."""
    outer = [row.located.path for row in network.rows if is_spatial(row)]
    return outer[-1] if outer else None


def named_layer(network: Network, name: str) -> str:
    """The path of the layer with feature maps that a user names: by path, place, or kind (then the last of this kind).

    Raises ConfigError if there is none.
    """
    located, rows = network.located(), rows_by_path(network)
    if faults := places.unknown_names([name], [path for _, path in located], "", located):
        raise ConfigError(Fault("layer", faults[0].text))
    meant = places.resolved([name], located)[-1]
    known = [path for _, path in located if path in rows]
    exact = [path for path in known if path == meant]
    ends = [path for path in known if path.rpartition(".")[2].partition("_")[2] == meant]
    found = exact or ends or [path for path in known if places.chosen([meant], path)]
    path = found[-1]
    if not is_spatial(rows[path]):
        last = last_spatial(network)
        fitting = f"; the last such layer is {places.place_of(last, located)}" if last else ""
        rule = f"must have feature maps of more than one position{fitting}"
        raise ConfigError(Fault("layer", f"{rule}, got {name} ({shape_text(rows[path].output.shape)})"))
    return path


def printed(network: Network, path: str) -> str:
    """The place of a layer in the YAML: `layers[3].conv`; if a repeated layer has several copies, its path."""
    located = network.located()
    place = places.place_of(path, located)
    return place if sum(own == place for own, _ in located) == 1 else path


def feature_map(network: Network, path: str) -> FeatureMap:
    """The shape and the receptive fields of the output of the layer at a path."""
    return rows_by_path(network)[path].output
