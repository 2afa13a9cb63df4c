import pytest


@pytest.fixture
def redis_ports(shared, redis_server, target, launch):
    """(original, under test). With --target=original it is a second original, which tests the comparison itself."""
    tested = redis_server if target == "trivet" else launch("redis")
    return shared.original("redis").port_of("redis"), tested.port_of("redis")
