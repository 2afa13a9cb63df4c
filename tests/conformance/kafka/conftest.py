import pytest


@pytest.fixture
def kafka_ports(shared, kafka_server, target):
    """(original, under test). With --target=original a broker is compared with itself, under two prefixes."""
    return shared.original("kafka").port_of("kafka"), kafka_server.port_of("kafka")
