/* What one malloc costs: for each size a fresh process allocates, writes the first byte, then one byte of every other
 * page, frees, and allocates and writes once more. Prints, separated by tabs: size; where the block is (bytes from the
 * start of the heap, or "mmap" and bytes from the start of its page); bytes by which the heap grew; minor faults of
 * malloc, of the first byte, of the other pages; how many those are; how far the heap is after free; whether the second
 * block is where the first was; faults of the second malloc with its first byte; how far the heap is then.
 * Build: gcc -O0 -o malloc malloc.c; run: for s in 1000 ...; do ./malloc $s; done */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

int main(int argc, char **argv) {
    char out[4096], where[64];
    size_t size = strtoul(argv[1], 0, 0), others = 0;
    char *start = sbrk(0);
    faults();
    long f0 = faults();
    char *block = malloc(size);
    long f1 = faults();
    char *grown = sbrk(0);
    long f2 = faults();
    block[0] = 'A';
    long f3 = faults();
    for (size_t at = 4096; at < size; at += 4096, others++) block[at] = 'B';
    long f4 = faults();
    free(block);
    char *freed = sbrk(0);
    long f5 = faults();
    char *again = malloc(size);
    again[0] = 'C';
    long f6 = faults();
    char *end = sbrk(0);
    int mapped = block < start || block > grown;
    snprintf(where, sizeof where, mapped ? "mmap %ld" : "%ld", mapped ? (long)block % 4096 : (long)(block - start));
    int length = snprintf(out, sizeof out, "%zu\t%s\t%ld\t%ld\t%ld\t%ld\t%zu\t%ld\t%d\t%ld\t%ld\n", size, where,
                          (long)(grown - start), f1 - f0, f3 - f2, f4 - f3, others, (long)(freed - start),
                          again == block, f6 - f5, (long)(end - start));
    return write(1, out, length) != length;
}
