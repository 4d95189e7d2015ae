/* What a sequence of calls does to a fresh process: for each argument, "m" and a size allocates, "f" and a number frees
 * the block of that number, from 0. Prints, for each, separated by blanks: where the block is (bytes from the start of
 * the heap, or "mmap"), or "-"; then after colons how far the heap reaches and how many minor faults the call took.
 * Build: gcc -O0 -o malloc-calls malloc-calls.c; run: ./malloc-calls m100 m2000 f0 ... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char out[1 << 16];
static char *blocks[256];
static struct { long place, end, faults; } found[256];

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

int main(int argc, char **argv) {
    char *start = sbrk(0);
    int made = 0, length = 0;
    memset(out, 1, sizeof out);
    memset(blocks, 0, sizeof blocks);
    memset(found, 1, sizeof found);
    faults();
    for (int i = 1; i < argc; i++) {
        unsigned long number = strtoul(argv[i] + 1, 0, 0);
        long before = faults();
        if (argv[i][0] == 'm') blocks[made] = malloc(number); else free(blocks[number]);
        found[i].faults = faults() - before;
        found[i].end = (char *)sbrk(0) - start;
        found[i].place = argv[i][0] == 'm' ? blocks[made++] - start : -1;
    }
    for (int i = 1; i < argc; i++) {
        char where[32] = "-";
        if (found[i].place >= 0) snprintf(where, sizeof where, found[i].place < 1L << 32 ? "%ld" : "mmap", found[i].place);
        length += snprintf(out + length, sizeof out - length, "%s:%ld:%ld%c", where, found[i].end, found[i].faults,
                           i == argc - 1 ? '\n' : ' ');
    }
    return write(1, out, length) != length;
}
