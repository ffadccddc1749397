// fail: the one way out. A load generator that met something it does not understand has measured nothing.
#pragma once

#include <stddef.h>

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// malloc and realloc that do not return NULL.
void *take_memory(size_t bytes);            // zeroed
void *grow_memory(void *old, size_t bytes); // the new part is not zeroed

// printf into memory of its own.
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
