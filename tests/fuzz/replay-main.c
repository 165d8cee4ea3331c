/* SPDX-License-Identifier: MIT */
/*
 * main() for a fuzz target without libFuzzer: runs it over the files that are named, for builds
 * with any compiler.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"

/* More than any input of a corpus. */
#define INPUT_MAX (1024 * 1024)

static int replay(const char *path)
{
	_cleanup_free_ uint8_t *data = malloc(INPUT_MAX);
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ uint8_t *input = NULL;
	size_t size;

	if (!file || !data) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	size = fread(data, 1, INPUT_MAX, file);
	if (ferror(file) || !feof(file)) {
		fprintf(stderr, "%s: cannot be read whole\n", path);
		return -1;
	}
	input = fuzz_copy(data, size);
	LLVMFuzzerTestOneInput(input, size);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) < 0)
			return 1;
	printf("%d inputs\n", argc - 1);
	return argc > 1 ? 0 : 1;
}
