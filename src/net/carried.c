/* carried.c: the owner's side of a connection whose bytes a carrier reads and writes (carrier.c). All of it runs on the
 * owner's thread: to its service such a connection is like any other.
 *
 * A carrier may read READS_AHEAD blocks beyond what was taken: while one is worked at, the next is on its way. */
#include "net/net_internal.h"

#define READS_AHEAD 2

void net__carry(net_conn_t *conn)
{
    net_t *net = conn->net;
    (void)net_conn_peer(conn); /* asked of the stream while it is here */
    (void)net_conn_local(conn);
    net_carrier_t *carrier = net->carriers[net->carrier_next++ % net->carriers_count];
    conn->link = net__link_new(carrier, conn, io_stream_detach(conn->stream), conn->tls);
    conn->stream = NULL;
    conn->tls = NULL; /* the link's */
    conn->reads_owed = READS_AHEAD;
    (void)net__order(conn->link); /* opens it, also when nothing else is to be said */
}

void net__carried_send(net_conn_t *conn)
{
    if (!conn->out.first) return;
    conn->carried_bytes += conn->out.bytes;
    conn->carried_file_bytes += conn->out.file_bytes;
    net__output_take(&net__order(conn->link)->output, &conn->out);
}

void net__carried_post(net_conn_t *conn) { net__post_orders(net__link_carrier(conn->link)); }

void net__carried_read(net_conn_t *conn)
{
    if (!conn->reads_owed) return;
    net__order(conn->link)->reads += conn->reads_owed;
    conn->reads_owed = 0;
}

void net__carried_leave(net_conn_t *conn)
{
    conn->state = CONN_LEAVING;
    list_remove(&conn->all_node);
    list_push_back(&conn->net->leaving, &conn->all_node);
    net__order(conn->link)->closes = true;
}

/* Input that comes for a connection that reads no more is dropped, as the kernel would. */
static void take_blocks(net_conn_t *conn, net_parcel_t *report)
{
    for (net_block_t *block = report->blocks; block; block = block->next) {
        conn->reads_owed++;
        if (conn->state != CONN_OPEN || conn->net->quiet) continue;
        conn->stats->in_bytes += block->len;
        conn->active_ms = net__now_ms(conn->net);
        net__take_input(conn, block->data, block->len);
    }
}

static void free_chunks(net_t *net, net_chunk_t *chunk)
{
    for (net_chunk_t *next; chunk; chunk = next) {
        next = chunk->next;
        net__chunk_free(&net->chunks, chunk);
    }
}

static void free_blocks(net_block_t *block)
{
    for (net_block_t *next; block; block = next) {
        next = block->next;
        mem_free(block);
    }
}

/* Spent blocks go back to their reader, unless the link may be gone. */
static void give_back(net_conn_t *conn, net_parcel_t *report)
{
    if (!report->blocks) return;
    if (conn->state == CONN_LEAVING) {
        free_blocks(report->blocks);
        return;
    }
    net_parcel_t *order = net__order(conn->link);
    report->blocks_last->next = order->blocks;
    order->blocks = report->blocks;
}

void net__on_report(net_parcel_t *report)
{
    net_conn_t *conn = report->conn;
    free_chunks(conn->net, report->output.first);
    conn->carried_bytes -= report->output.bytes;
    conn->carried_file_bytes -= report->output.file_bytes;
    if (report->closes) {
        free_blocks(report->blocks);
        net__conn_free(conn);
        return;
    }
    conn->stats->out_bytes += report->output.bytes;
    if (report->tells_tls) net__secure_became(conn, report->tls, report->held_bytes, report->why);
    take_blocks(conn, report);
    give_back(conn, report);
    if (conn->state == CONN_LEAVING || conn->state == CONN_DEAD) return;
    if (report->ended == NET_END)
        net__input_ended(conn);
    else if (report->ended)
        net__kill(conn);
    net__output_left(conn);
    net__update_watch(conn);
}
