/* resp_text.h: what a scenario's Redis client needs of RESP2. */
#ifndef TRIVET_TESTS_SIM_RESP_TEXT_H
#define TRIVET_TESTS_SIM_RESP_TEXT_H

#include "base/buf.h"

/* Appends a command of `argc` C strings. */
void resp_text_put(buf_t *out, int argc, ...);
/* The length of the whole reply at `at`, or 0 when it is not all there. */
size_t resp_text_length(const uint8_t *at, size_t left);

#endif
