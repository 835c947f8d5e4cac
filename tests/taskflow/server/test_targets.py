"""Which addresses the URLs of subscriptions may lead to."""

import socket

import pytest

from taskflow.server.targets import TargetRefused, find_target, resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1%eth0",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "240.0.0.1",
        "fd00:ec2::254",
        "fd00:0ec2:0:0::23",
        "fd20:ce::254",
        "fd00:42::42",
        "100.100.100.200",
        "168.63.129.16",
        "::ffff:168.63.129.16",
        "192.0.0.192",
        "::ffff:a9fe:a9fe",
        "64:ff9b::169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a9fe:a9fe",  # a network's own translator
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        "2001:0:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",  # 169.254.169.254, turned over
        "2001:db8:1::5efe:169.254.169.254",
        "2001:db8:1::200:5efe:7f00:1",
    ],
)
def test_this_machine_and_its_links_are_refused(address: str) -> None:
    with pytest.raises(TargetRefused, match="which subscriptions may not call"):
        find_target("example.org", 80, False, lambda host, port: [address])
    assert find_target("example.org", 80, True, lambda host, port: [address]) == address


def test_an_address_that_this_machine_has_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("203.0.113.9", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no way out")
        own = one.getsockname()[0]
    with pytest.raises(TargetRefused, match="which subscriptions may not call"):
        find_target("example.org", 80, False, lambda host, port: [own])
    with pytest.raises(TargetRefused, match="which subscriptions may not call"):
        find_target("example.org", 80, False, lambda host, port: [f"::ffff:{own}"])
    assert find_target("example.org", 80, True, lambda host, port: [own]) == own


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "10.0.0.1",
        "192.168.1.2",
        "2606:2800::1",
        "fd12:3456::1",
        "64:ff9b::93.184.216.34",  # as DNS64 answers where there is IPv6 alone
        "::ffff:93.184.216.34",
        "2002:5db8:d822::1",
    ],
)
def test_other_machines_are_called(address: str) -> None:
    assert find_target("example.org", 80, False, lambda host, port: [address]) == address


def test_the_first_address_that_may_be_is_called() -> None:
    found = ["127.0.0.1", "10.0.0.1", "10.0.0.2"]
    assert find_target("example.org", 80, False, lambda host, port: found) == "10.0.0.1"


def test_a_host_is_asked_of_the_system() -> None:
    assert "127.0.0.1" in resolve("localhost", 80) or "::1" in resolve("localhost", 80)
