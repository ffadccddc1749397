#include "machine.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fail.h"

void sleep_ns(uint64_t duration_ns)
{
    struct timespec time = {(time_t)(duration_ns / 1000000000), (long)(duration_ns % 1000000000)};

    nanosleep(&time, NULL);
}

static bool read_proc(const char *path, char *text, size_t capacity)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (file < 0)
        return false;
    length = read(file, text, capacity - 1);
    close(file);
    if (length <= 0)
        return false;
    text[length] = 0;
    return true;
}

// One process's parent, and its CPU ticks with those of its reaped children: without them, the work of a child that
// ends within the window would vanish.
static bool read_stat(int pid, int *parent, uint64_t *ticks)
{
    char path[64], text[1024], *end_of_name;
    unsigned long user, system;
    long children_user, children_system;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (!read_proc(path, text, sizeof text))
        return false;
    end_of_name = strrchr(text, ')');
    if (!end_of_name || sscanf(end_of_name + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", parent,
                               &user, &system, &children_user, &children_system) != 5)
        return false;
    *ticks = user + system + (uint64_t)children_user + (uint64_t)children_system;
    return true;
}

void process_tree_name(struct process_tree *tree, const char *comma_separated_pids)
{
    const char *rest = comma_separated_pids;

    while (*rest) {
        char *end;
        int parent, pid = (int)strtol(rest, &end, 10);
        uint64_t ticks;

        if (end == rest || tree->root_count == PROCESSES_MAX || !read_stat(pid, &parent, &ticks))
            fail("no such process: %s", rest);
        tree->pids[tree->root_count++] = pid;
        rest = *end == ',' ? end + 1 : end;
    }
    tree->count = tree->root_count;
}

static bool process_tree_has(const struct process_tree *tree, int pid)
{
    for (int i = 0; i < tree->count; i++)
        if (tree->pids[i] == pid)
            return true;
    return false;
}

void process_tree_refresh(struct process_tree *tree)
{
    bool grown = tree->root_count > 0;

    tree->count = tree->root_count;
    while (grown) { // once per generation
        DIR *directory = opendir("/proc");
        struct dirent *entry;

        if (!directory)
            fail("cannot read /proc");
        grown = false;
        while ((entry = readdir(directory))) {
            int parent, pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
            uint64_t ticks;

            if (!pid || process_tree_has(tree, pid) || !read_stat(pid, &parent, &ticks) ||
                !process_tree_has(tree, parent))
                continue;
            if (tree->count == PROCESSES_MAX)
                break;
            tree->pids[tree->count++] = pid;
            grown = true;
        }
        closedir(directory);
    }
}

double process_tree_cpu_seconds(const struct process_tree *tree)
{
    uint64_t sum = 0;

    for (int i = 0; i < tree->count; i++) {
        int parent;
        uint64_t ticks;

        if (read_stat(tree->pids[i], &parent, &ticks))
            sum += ticks;
    }
    return (double)sum / (double)sysconf(_SC_CLK_TCK);
}

static uint64_t status_bytes(const char *status, const char *field)
{
    const char *found = strstr(status, field);

    return found ? strtoull(found + strlen(field), NULL, 10) * 1024 : 0;
}

struct resident process_tree_resident(const struct process_tree *tree)
{
    struct resident sum = {0};

    for (int i = 0; i < tree->count; i++) {
        char path[64], text[4096];

        snprintf(path, sizeof path, "/proc/%d/status", tree->pids[i]);
        if (!read_proc(path, text, sizeof text))
            continue;
        sum.total_bytes += status_bytes(text, "VmRSS:");
        sum.anonymous_bytes += status_bytes(text, "RssAnon:");
    }
    return sum;
}

double own_cpu_seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct machine_cpu machine_cpu(void)
{
    char text[512];
    unsigned long long user, nice, system, idle, io_wait, interrupt, soft_interrupt, stolen;
    double tick = 1 / (double)sysconf(_SC_CLK_TCK);

    if (!read_proc("/proc/stat", text, sizeof text) ||
        sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &io_wait, &interrupt,
               &soft_interrupt, &stolen) != 8)
        fail("cannot read /proc/stat");
    return (struct machine_cpu){(double)(user + nice + system + interrupt + soft_interrupt) * tick,
                                (double)stolen * tick};
}
