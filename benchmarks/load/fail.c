#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void fail(const char *format, ...)
{
    va_list arguments;

    fputs("load: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void *take_memory(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);

    if (!memory)
        fail("no memory for %zu bytes", bytes);
    return memory;
}

void *grow_memory(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes);

    if (!memory)
        fail("no memory for %zu bytes", bytes);
    return memory;
}

char *text(const char *format, ...)
{
    va_list arguments;
    char *result;

    va_start(arguments, format);
    if (vasprintf(&result, format, arguments) < 0)
        fail("no memory");
    va_end(arguments);
    return result;
}
