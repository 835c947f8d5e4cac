"""What a broker can do beyond what all can."""

from typing import NamedTuple


class Features(NamedTuple):
    """What a broker says of itself; whoever needs more than it has refuses with these words.

    `atomic`: what `apply` is given happens together or not at all. `shared`: other processes may
    use it at the same time. `hosts`: those of other hosts too. `long_delays`: a delay may be longer
    than 15 minutes.
    """

    atomic: bool = True
    shared: bool = True
    hosts: bool = False
    long_delays: bool = True
