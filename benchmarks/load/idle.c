// idle: many connections, opened by a small state machine with a bounded number of
// handshakes under way, from several source addresses so that ports do not run out. Then nothing, and what that costs
// the broker. What is said in a handshake is the dialect's (amqp_idle.c, mqtt_idle.c).
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "fail.h"
#include "idle.h"
#include "machine.h"

enum { SOURCES = 40, WARM_UP_CONNECTIONS = 100, DESCRIPTORS_SPARE = 64 };

static void send_wire(int descriptor, struct wire *wire)
{
    if (wire->length && send(descriptor, wire->bytes, wire->length, MSG_NOSIGNAL) != (ssize_t)wire->length)
        fail("send in a handshake: %s", strerror(errno));
    wire_free(wire);
}

static void begin(struct handshake *handshake, int epoll, const struct options *options, uint64_t number)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = handshake};

    handshake->descriptor = loopback_connect(options->port, 1 + (int)(number % SOURCES), false);
    handshake->number = number;
    handshake->connected = false;
    handshake->length = 0;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, handshake->descriptor, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static void on_connected(struct handshake *handshake, const struct dialect *dialect, const struct options *options,
                         int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = handshake};
    struct wire wire = {0};

    handshake->connected = true;
    epoll_ctl(epoll, EPOLL_CTL_MOD, handshake->descriptor, &event);
    dialect->greet(handshake, options, &wire);
    send_wire(handshake->descriptor, &wire);
}

static bool on_readable(struct handshake *handshake, const struct dialect *dialect, const struct options *options)
{
    ssize_t got = recv(handshake->descriptor, handshake->input + handshake->length,
                       HANDSHAKE_INPUT_BYTES - handshake->length, MSG_DONTWAIT);
    bool open = false;
    size_t unit;

    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        fail("the broker closed a connection in the handshake: %s", got ? strerror(errno) : "end of stream");
    handshake->length += (size_t)got;
    while ((unit = dialect->measure(handshake->input, handshake->length))) {
        struct wire wire = {0};

        open = dialect->advance(handshake, options, unit, &wire);
        send_wire(handshake->descriptor, &wire);
        memmove(handshake->input, handshake->input + unit, handshake->length - unit);
        handshake->length -= unit;
    }
    if (handshake->length == HANDSHAKE_INPUT_BYTES)
        fail("more than %d bytes in the handshake", HANDSHAKE_INPUT_BYTES);
    return open;
}

static void part(const struct dialect *dialect, int descriptor)
{
    struct wire wire = {0};

    dialect->part(&wire);
    if (send(descriptor, wire.bytes, wire.length, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        fail("send: %s", strerror(errno));
    wire_free(&wire);
    close(descriptor);
}

// Opens count connections into descriptors, or closes each as soon as it is open where there are none. Gives the
// seconds it took.
static double open_all(const struct dialect *dialect, const struct options *options, int *descriptors, uint64_t count)
{
    uint64_t places = options->concurrency < count ? options->concurrency : count, begun = 0, done = 0;
    struct handshake *handshakes = take_memory(places * sizeof *handshakes);
    struct epoll_event events[256];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    uint64_t start = now_ns();

    while (begun < places) {
        begin(&handshakes[begun], epoll, options, begun);
        begun++;
    }
    while (done < count) {
        int ready = epoll_wait(epoll, events, 256, 30000);

        if (ready == 0)
            fail("no handshake moved for 30 s; %llu of %llu are open", (unsigned long long)done,
                 (unsigned long long)count);
        for (int i = 0; i < ready; i++) {
            struct handshake *handshake = events[i].data.ptr;

            if (events[i].events & EPOLLOUT && !handshake->connected)
                on_connected(handshake, dialect, options, epoll);
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || !on_readable(handshake, dialect, options))
                continue;
            epoll_ctl(epoll, EPOLL_CTL_DEL, handshake->descriptor, NULL);
            done++;
            if (descriptors)
                descriptors[done - 1] = handshake->descriptor;
            else
                part(dialect, handshake->descriptor);
            if (begun < count)
                begin(handshake, epoll, options, begun++);
        }
    }
    close(epoll);
    free(handshakes);
    return (double)(now_ns() - start) / 1e9;
}

static uint64_t count_closed(const int *descriptors, uint64_t count)
{
    uint64_t closed = 0;
    uint8_t byte;

    for (uint64_t i = 0; i < count; i++)
        if (recv(descriptors[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
            closed++;
    return closed;
}

static void close_all(const struct dialect *dialect, const int *descriptors, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        part(dialect, descriptors[i]);
}

static void raise_descriptor_limit(uint64_t wanted)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted) {
        limit.rlim_max = wanted; // allowed to root only
        limit.rlim_cur = wanted;
    } else {
        limit.rlim_cur = limit.rlim_max;
    }
    if (setrlimit(RLIMIT_NOFILE, &limit))
        fail("%llu open files are needed, and not allowed: %s", (unsigned long long)wanted, strerror(errno));
}

void run_idle(const struct dialect *dialect, const struct options *options)
{
    uint64_t count = options->connections;
    int *descriptors = take_memory(count * sizeof *descriptors);
    struct process_tree broker = {0};
    struct resident before, with;
    double connecting, cpu_before, idle_cpu;

    raise_descriptor_limit(count + DESCRIPTORS_SPARE);
    process_tree_name(&broker, options->broker_pids);
    // The first connections load code and fill caches, which is not the price of a connection.
    open_all(dialect, options, descriptors, WARM_UP_CONNECTIONS < count ? WARM_UP_CONNECTIONS : count);
    close_all(dialect, descriptors, WARM_UP_CONNECTIONS < count ? WARM_UP_CONNECTIONS : count);
    sleep_ns(1000000000);

    process_tree_refresh(&broker);
    before = process_tree_resident(&broker);
    cpu_before = process_tree_cpu_seconds(&broker);
    connecting = open_all(dialect, options, descriptors, count);
    cpu_before = process_tree_cpu_seconds(&broker) - cpu_before;
    printf("{\"mode\": \"%s\", \"connections\": %llu, \"connects_per_second\": %.1f, \"connect_broker_cpu_seconds\": "
           "%.2f, ",
           options->mode, (unsigned long long)count, (double)count / connecting, cpu_before);

    sleep_ns(2000000000); // what the connects left to do
    process_tree_refresh(&broker);
    cpu_before = process_tree_cpu_seconds(&broker);
    sleep_ns((uint64_t)(options->seconds * 1e9));
    idle_cpu = process_tree_cpu_seconds(&broker) - cpu_before;
    with = process_tree_resident(&broker);
    printf("\"rss_before_bytes\": %llu, \"rss_with_bytes\": %llu, \"rss_bytes_per_connection\": %.1f, ",
           (unsigned long long)before.total_bytes, (unsigned long long)with.total_bytes,
           ((double)with.total_bytes - (double)before.total_bytes) / (double)count);
    printf("\"idle_seconds\": %.2f, \"idle_cpu_percent\": %.3f, ", options->seconds, idle_cpu / options->seconds * 100);
    printf("\"faults\": {\"closed_by_broker\": %llu}}\n", (unsigned long long)count_closed(descriptors, count));
    close_all(dialect, descriptors, count);
}

void run_storm(const struct dialect *dialect, const struct options *options)
{
    uint64_t count = options->connections, warm_up = WARM_UP_CONNECTIONS < count ? WARM_UP_CONNECTIONS : count;
    struct process_tree broker = {0};
    double seconds, cpu, own;

    process_tree_name(&broker, options->broker_pids);
    open_all(dialect, options, NULL, warm_up);
    process_tree_refresh(&broker);
    cpu = process_tree_cpu_seconds(&broker);
    own = own_cpu_seconds();
    seconds = open_all(dialect, options, NULL, count);
    cpu = process_tree_cpu_seconds(&broker) - cpu;
    own = own_cpu_seconds() - own;
    printf("{\"mode\": \"%s\", \"connections\": %llu, \"seconds\": %.3f, \"connects_per_second\": %.1f, ", options->mode,
           (unsigned long long)count, seconds, (double)count / seconds);
    printf("\"broker_cpu_seconds\": %.2f, \"broker_cores\": %.3f, \"own_cores\": %.3f, \"faults\": {}}\n", cpu,
           cpu / seconds, own / seconds);
}
