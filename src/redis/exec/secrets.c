/* secrets.c: which words of a command hold a password: MONITOR and the slow log black them out, whether the command succeeds or
 * not. */
#include "redis/exec/secrets.h"
#include "redis/config/config_table.h"
#include "redis_commands.h"

static secrets_t secrets_of_hello(int argc, const bytes_t *argv)
{
    secrets_t s = {0};
    for (int i = 2; i < argc;) {
        if (bytes_eq_nocase(argv[i], BYTES_LIT("AUTH"))) {
            if (s.from == 0) s.from = i + 1;
            s.to = i + 3;
            i += 3;
        } else if (bytes_eq_nocase(argv[i], BYTES_LIT("SETNAME"))) {
            i += 2; /* a name may look like an option */
        } else {
            break;
        }
    }
    return s;
}

/* Up to KEYS, behind which there are no options. */
static secrets_t secrets_of_migrate(int argc, const bytes_t *argv)
{
    secrets_t s = {0};
    for (int i = 6; i < argc && !bytes_eq_nocase(argv[i], BYTES_LIT("KEYS")); i++) {
        int words = bytes_eq_nocase(argv[i], BYTES_LIT("AUTH"))    ? 1
                    : bytes_eq_nocase(argv[i], BYTES_LIT("AUTH2")) ? 2
                                                                   : 0;
        if (!words) continue;
        if (s.from == 0) s.from = i + 1;
        s.to = i + 1 + words;
        i += words;
    }
    return s;
}

secrets_t secrets__find(const redis_command_t *command, int argc, const bytes_t *argv)
{
    if (command->traits & TRAIT_SECRET_ARGS) return (secrets_t){.from = 1, .to = argc};
    if (command->traits & TRAIT_SECRET_AFTER_AUTH) return secrets_of_hello(argc, argv);
    if (command->traits & TRAIT_SECRET_OPTIONS) return secrets_of_migrate(argc, argv);
    return (secrets_t){.settings = command->traits & TRAIT_SECRET_SETTINGS};
}

bytes_t secrets__shown(secrets_t s, const bytes_t *argv, int i)
{
    bool secret = i >= s.from && i < s.to;
    if (s.settings && i > 2 && i % 2) {
        const directive_t *d = directive_find(argv[i - 1]);
        secret = d && d->flags & DIRECTIVE_SECRET;
    }
    return secret ? BYTES_LIT("(redacted)") : argv[i];
}
