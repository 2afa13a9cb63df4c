/* zookeeper_fuzz.c: a client that sends anything, against the whole wing in the simulator: after a good handshake, or (odd first
 * byte) from the very first byte. */
#include "io/sim.h"
#include "zk_records.h"
#include "zookeeper/zookeeper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A stream at its end stays readable: heard of once, or every turn until the input's time is over would be for it. */
static void ready(void *user, unsigned events)
{
    static uint8_t sink[65536];
    ssize_t n;
    while ((n = io_stream_read(user, sink, sizeof(sink))) > 0) {
    }
    if (n != ERR_AGAIN) io_stream_watch(user, 0, NULL, NULL);
}

static size_t put_handshake(uint8_t *out)
{
    static const uint8_t zeros[16];
    zk_connect_request_t request = {0, 0, 10000, 0, bytes_of(zeros, 16)};
    store_be32(out, 44);
    return (size_t)(zk_connect_request_put(out + 4, &request) - out);
}

static void talk(sim_t *sim, io_loop_t *loop, const uint8_t *data, size_t size)
{
    uint8_t hello[64];
    io_stream_t *stream;
    if (size == 0 || io_connect(loop, "10.0.0.1", 2181, &stream) != 0) return;
    sim_run_for(sim, 20);
    if (!(data[0] & 1)) (void)!io_stream_writev(stream, &(struct iovec){hello, put_handshake(hello)}, 1);
    sim_run_for(sim, 100);
    io_stream_watch(stream, IO_READABLE, ready, stream);
    (void)!io_stream_writev(stream, &(struct iovec){(void *)(data + 1), size - 1}, 1);
    sim_run_for(sim, 200);
    io_stream_close(stream);
    sim_run_for(sim, 50);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sim_t *sim = sim_new(1);
    sim_node_t *node = sim_node_new(sim, "10.0.0.1"), *client = sim_node_new(sim, "10.0.0.2");
    coord_options_t options = coord_options_default;
    zookeeper_config_t config;
    coord_t *coord;
    options.dir = "/data/coord";
    zookeeper_config_init(&config);
    io_loop_t *loop = sim_node_loop(node);
    if (coord_open(loop, &options, &coord) != 0) __builtin_trap();
    net_t *net = net_new(loop);
    zookeeper_t *zookeeper = zookeeper_new(loop, net, coord, &config);
    if (zookeeper_listen(zookeeper, "10.0.0.1", 2181) < 0) __builtin_trap();
    talk(sim, sim_node_loop(client), data, size);
    zookeeper_stop(zookeeper);
    coord_close(coord);
    net_free(net);
    zookeeper_free(zookeeper);
    zookeeper_config_deinit(&config);
    sim_free(sim);
    return 0;
}
