/* glob.h: Redis's patterns of names: * ? [a-z] [^x] \x */
#ifndef TRIVET_REDIS_GLOB_H
#define TRIVET_REDIS_GLOB_H

#include "base/base.h"

bool glob_match(bytes_t pattern, bytes_t text, bool nocase);

#endif
