/* metrics.c: what all wings tell in the same words. */
#include "server/server_internal.h"

void server__net_metrics(const net_t *net, const net_service_t *service, buf_t *out)
{
    net_stats_t stats = net_service_stats(net, service);
    buf_printf(out, "trivet_connections_open{protocol=\"%s\"} %" PRIu32 "\n", service->name, stats.open);
    buf_printf(out, "trivet_connections_accepted_total{protocol=\"%s\"} %" PRIu64 "\n", service->name, stats.accepted);
    buf_printf(out, "trivet_connections_refused_total{protocol=\"%s\"} %" PRIu64 "\n", service->name, stats.refused);
    buf_printf(out, "trivet_received_bytes_total{protocol=\"%s\"} %" PRIu64 "\n", service->name, stats.in_bytes);
    buf_printf(out, "trivet_sent_bytes_total{protocol=\"%s\"} %" PRIu64 "\n", service->name, stats.out_bytes);
}
