/* corpora.c: what the fuzzers once found, and what leads them on, run once by each fuzzer's own code: a finding that comes back fails
 * `make test`, and a fuzzer that no longer compiles fails the build. Its argument is the folder of the corpora. */
#include "base/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INPUT_BYTES_MAX MIB(4)
#define PATH_CHARS_MAX  4096

/* FUZZERS is X(name) for each of them: the build gives each entry point the fuzzer's name. */
#define X(name) int name##_input(const uint8_t *data, size_t size);
FUZZERS
#undef X

typedef struct fuzzer {
    const char *name; /* with "_fuzz" */
    int (*run)(const uint8_t *data, size_t size);
} fuzzer_t;

static const fuzzer_t fuzzers[] = {
#define X(name) {#name, name##_input},
    FUZZERS
#undef X
};

static void run_file(const fuzzer_t *fuzzer, const char *path, uint8_t *data)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    size_t bytes = fread(data, 1, INPUT_BYTES_MAX, f);
    fclose(f);
    uint8_t *own = mem_alloc(MAX(bytes, (size_t)1)); /* of its size, so that a sanitizer sees what reads past it */
    memcpy(own, data, bytes);
    fuzzer->run(own, bytes);
    mem_free(own);
}

/* Returns how many inputs there are. */
static int run_folder(const fuzzer_t *fuzzer, const char *corpora, uint8_t *data)
{
    char folder[PATH_CHARS_MAX], path[PATH_CHARS_MAX + 256];
    int count = 0, name_chars = (int)(strlen(fuzzer->name) - strlen("_fuzz"));
    snprintf(folder, sizeof(folder), "%s/%.*s", corpora, name_chars, fuzzer->name);
    DIR *dir = opendir(folder);
    if (!dir) return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (getenv("VERBOSE")) fprintf(stderr, "%s\n", path);
        run_file(fuzzer, path, data);
        count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    ASSERT(argc == 2);
    uint8_t *data = mem_alloc(INPUT_BYTES_MAX);
    int missing = 0;
    for (size_t i = 0; i < ARRAY_LEN(fuzzers); i++) {
        int count = run_folder(&fuzzers[i], argv[1], data);
        printf("%-28s %d inputs\n", fuzzers[i].name, count);
        if (count == 0) missing++;
    }
    mem_free(data);
    return missing ? 1 : 0;
}
