/* disk_scenario.c: syncs of partitions fail for a while under KAFKA.PRODUCE ... ONCE.
 *
 * Every command is answered, with its place or with an error, and within seconds. When the disk is well the partition comes back and holds each
 * record once; or it lost what the disk never got, and then it stays offline and says so. */
#include "bridge_world.h"
#include "resp_client.h"

#include "base/health.h"

#include <stdio.h>

#define RECORDS       40
#define ANSWER_MS_MAX 15000

typedef struct disk_world {
    bridge_world_t world;
    resp_client_t client;
    bool promised[RECORDS]; /* answered with a place */
    int times[RECORDS];     /* it is in the topic */
} disk_world_t;

static bool all_answered(void *user) { return ((disk_world_t *)user)->client.in_flight == 0; }

static void answered(void *user, int tag) { ((disk_world_t *)user)->promised[tag - 1] = true; }

static void send_one(disk_world_t *d, int n)
{
    char key[16], value[16];
    snprintf(key, sizeof(key), "guard%d", n);
    snprintf(value, sizeof(value), "%d", n);
    resp_text_put(&d->client.out, 6, "KAFKA.PRODUCE", "t", "ONCE", key, "100000", value);
    d->client.failed = false;
    resp_client_expect(&d->client, n + 1, 1);
    resp_client_flush(&d->client);
}

static void fail_syncs(disk_world_t *d, bool fail)
{
    sim_disk_faults_t faults = d->world.machine.disk;
    faults.sync_error_below = "/data/kafka/t-";
    faults.sync_error_ppm = fail ? SIM_PPM : 0;
    sim_node_set_disk_faults(d->world.machine.node, &faults);
}

static void count(void *user, const record_t *record)
{
    disk_world_t *d = user;
    int n = 0;
    for (size_t i = 0; i < record->value.len; i++) n = n * 10 + (record->value.ptr[i] - '0');
    CHECK(d->world.machine.run, n < RECORDS, "a record that nobody sent: %d", n);
    d->times[n]++;
}

static void check_records(disk_world_t *d)
{
    for (int partition = 0; partition < WORLD_PARTITIONS; partition++)
        bridge_world_each_record(&d->world, "t", partition, count, d);
    for (int n = 0; n < RECORDS; n++) { /* what was answered with an error may have been refused or kept */
        int least = d->promised[n] ? 1 : 0;
        CHECK(d->world.machine.run, d->times[n] >= least && d->times[n] <= 1, "record %d is there %d times", n,
              d->times[n]);
    }
}

static void send_through_faults(disk_world_t *d)
{
    run_t *run = d->world.machine.run;
    int first_bad = (int)draw(run, RECORDS - 1),
        first_well = first_bad + 1 + (int)draw(run, (uint64_t)(RECORDS - first_bad - 1));
    for (int n = 0; n < RECORDS; n++) {
        if (n == first_bad) fail_syncs(d, true);
        if (n == first_well) fail_syncs(d, false);
        send_one(d, n);
        sim_run_for(run->sim, draw(run, 600));
        CHECK(run, sim_run_until(run->sim, all_answered, d, ANSWER_MS_MAX), "record %d: nobody answers", n);
        run->acknowledged++;
    }
    fail_syncs(d, false);
}

void scenario_disk(run_t *run)
{
    disk_world_t d = {.world.flushed = chance(run, 50)};
    bridge_world_init(&d.world, run);
    CHECK(run, bridge_world_start(&d.world), "it does not start");
    d.client.answered = answered;
    d.client.user = &d;
    sim_node_t *client = sim_node_new(run->sim, "10.0.0.9");
    resp_client_connect(&d.client, run, sim_node_loop(client), WORLD_HOST, WORLD_REDIS_PORT);
    send_through_faults(&d);
    sim_run_for(run->sim, 200000);
    if (kafka_stats(d.world.kafka).partitions_offline == 0) {
        CHECK(run, bridge_world_settle(&d.world), "the outbox does not empty");
        CHECK(run, health_ok(kafka_health(d.world.kafka)), "all is well, and it says otherwise");
        check_records(&d);
    } else {
        CHECK(run, health_text(kafka_health(d.world.kafka), "partitions") != NULL,
              "a partition is offline and nobody says so");
        run->crashes++; /* in the summary: how many had lost something */
    }
    resp_client_close(&d.client);
    resp_client_deinit(&d.client);
    bridge_world_stop(&d.world);
}
