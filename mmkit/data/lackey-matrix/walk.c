/* A matrix walked by rows, then by columns, then a hash table: three ways to touch half a megabyte. */
#include <stdint.h>
#include <stdio.h>

#define ROWS 128
#define COLUMNS 512 /* of 8 bytes: a row is a page */
#define SLOTS (1 << 15)
#define KEYS 6000

static double matrix[ROWS][COLUMNS] __attribute__((aligned(4096)));
static struct { uint64_t key, count; } table[SLOTS] __attribute__((aligned(4096)));

static double by_rows(void)
{
	double sum = 0;
	for (int row = 0; row < ROWS; row++)
		for (int column = 0; column < COLUMNS; column++)
			sum += matrix[row][column];
	return sum;
}

static double by_columns(void)
{
	double sum = 0;
	for (int column = 0; column < COLUMNS; column++)
		for (int row = 0; row < ROWS; row++)
			sum += matrix[row][column];
	return sum;
}

static uint64_t count_keys(void)
{
	uint64_t key = 1, most = 0;
	for (int i = 0; i < KEYS; i++) {
		key ^= key << 13, key ^= key >> 7, key ^= key << 17;
		uint64_t wanted = key % (KEYS / 4) + 1, slot = wanted * 0x9e3779b97f4a7c15u >> 49;
		while (table[slot].key && table[slot].key != wanted)
			slot = (slot + 1) % SLOTS;
		table[slot].key = wanted;
		if (++table[slot].count > most)
			most = table[slot].count;
	}
	return most;
}

int main(void)
{
	printf("%p %p\n", (void *)matrix, (void *)table);
	double sum = by_rows() + by_columns();
	return sum + count_keys() > 1e9;
}
