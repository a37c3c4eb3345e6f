"""The store of a bulk run is reachable where it has to be, and nowhere else."""

import socket
import sys

import pytest

from smallobj.bulk.launch import make_store


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_local_store_listens_on_the_loopback_alone(host):
    store = make_store(host, 0, is_master=True)
    assert store.port > 0
    other = make_store(host, store.port, is_master=False)
    other.set("key", "value")
    assert store.get("key") == b"value"
    # Another address of this machine, at which a store on all interfaces would answer.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", store.port), timeout=5)


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        make_store("127.0.0.1", taken.getsockname()[1], is_master=True)
