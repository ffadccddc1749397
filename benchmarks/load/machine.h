// machine: the clock, and what /proc says about CPU and memory of the broker, of this process and of the machine.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

void sleep_ns(uint64_t duration_ns);

enum { PROCESSES_MAX = 1024 };

// The broker: the processes named by the user, and their descendants.
struct process_tree {
    int pids[PROCESSES_MAX];
    int count, root_count;
};

void process_tree_name(struct process_tree *tree, const char *comma_separated_pids);
void process_tree_refresh(struct process_tree *tree); // finds the descendants anew
double process_tree_cpu_seconds(const struct process_tree *tree);

struct resident {
    uint64_t total_bytes, anonymous_bytes; // VmRSS, RssAnon
};

struct resident process_tree_resident(const struct process_tree *tree);

double own_cpu_seconds(void);

struct machine_cpu {
    double busy_seconds, stolen_seconds; // summed over the processors
};

struct machine_cpu machine_cpu(void);
