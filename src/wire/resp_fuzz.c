/* resp_fuzz.c: hostile requests, whole and in two pieces; both ways must agree. */
#include "wire/resp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static resp_result_t run(const uint8_t *data, size_t len, resp_resume_t *resume, resp_request_t *q,
                         bytes_t *argv)
{
    static const resp_limits_t limits = {RESP_ARGC_MAX, 512 << 20, false};
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    *q = (resp_request_t){.argv = argv, .argv_max = 128};
    resp_result_t result = resp_parse(copy, len, &limits, resume, q);
    if (result == RESP_REQUEST) {
        ASSERT(q->consumed > 0 && q->consumed <= len && q->argc <= 128);
        volatile uint8_t sink = 0;
        for (int i = 0; i < q->argc; i++)
            if (argv[i].len) sink ^= argv[i].ptr[argv[i].len - 1]; /* every argument can be read to its end */
        (void)sink;
    }
    free(copy);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bytes_t argv[128];
    resp_request_t whole, pieces;
    if (len == 0) return 0;
    resp_resume_t resume = {0};
    resp_result_t a = run(data, len, NULL, &whole, argv);
    resp_result_t b = run(data, data[len - 1] % len, &resume, &pieces, argv);
    if (b == RESP_MORE) b = run(data, len, &resume, &pieces, argv);
    if (a == RESP_REQUEST && b == RESP_REQUEST)
        ASSERT(whole.argc == pieces.argc || whole.consumed != pieces.consumed);
    resp_resume_deinit(&resume);
    return 0;
}
