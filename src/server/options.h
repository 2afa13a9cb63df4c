/* options.h: what the command line and the configuration file say, as an ordered list of settings.
 *
 * The file is INI with the sections [trivet], [redis], [kafka], [zookeeper] and [http]; the same names stand on the command
 * line as --section.name value. Later settings win. Names are checked by whoever owns the section. Called by the name of
 * an original, the program reads what that would (called_as.h). */
#ifndef TRIVET_SERVER_OPTIONS_H
#define TRIVET_SERVER_OPTIONS_H

#include "base/base.h"

#define OPTIONS_ERROR_CHARS_MAX 2048          /* a damaged log takes some sentences */
#define OPTIONS_FEED_PREFIX     "changefeed." /* of [trivet]'s names that are a change feed's */

typedef struct setting {
    char *section;
    char *name;
    char *value;
    char *origin; /* "command line" or "FILE:LINE", for messages */
} setting_t;

typedef struct options {
    setting_t *settings;
    size_t settings_count;
    const char *called_as; /* the original by whose name the program runs; NULL = by its own */
    const char *help;
    char *config_file; /* of the original's kind, which CONFIG REWRITE writes; from the root; NULL = none */
    char *notes;       /* lines that tell what was asked for and is done in another way; NULL = none */
    bool ready_json;
    bool show_version;
    bool show_help;
} options_t;

/* On failure `error` says what was wrong, where, and what would be right. */
int options_parse(int argc, char **argv, options_t *ret_options, char error[OPTIONS_ERROR_CHARS_MAX]) MUST_CHECK;
void options_deinit(options_t *options);
/* The value that counts; NULL = it is not given. */
const char *options_value(const options_t *options, const char *section, const char *name);
/* Appends a setting; strings are copied. */
void options_add(options_t *options, const char *section, const char *name, const char *value, const char *origin);

#endif
