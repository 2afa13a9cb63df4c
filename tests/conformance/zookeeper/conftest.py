import pytest


@pytest.fixture
def zookeeper_ports(shared, zookeeper_server, target, launch):
    """(original, under test). With --target=original it is a second original, which tests the comparison itself."""
    if target == "original":
        return zookeeper_server.port_of("zookeeper"), launch("zookeeper", **{"znode.container.checkIntervalMs": 2**31 - 1}).port_of("zookeeper")
    return shared.original("zookeeper").port_of("zookeeper"), zookeeper_server.port_of("zookeeper")
