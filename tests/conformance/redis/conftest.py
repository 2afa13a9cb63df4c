import pytest


@pytest.fixture
def redis_ports(shared, redis_server, target, launch):
    """(original, under test). With --target=original it is a second original, which tests the comparison itself."""
    tested = redis_server if target == "trivet" else launch("redis")
    return shared.original("redis").port_of("redis"), tested.port_of("redis")


@pytest.fixture
def valkey(shared):
    """The original, if it is Valkey: the wording of errors and the counting of reads are not the same in Redis 7.0."""
    server = shared.original("redis")
    if not server.program.endswith("valkey-server"):
        pytest.skip("valkey-server is not installed")
    return server
