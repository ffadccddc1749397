#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fail.h"

#define SECOND_NS UINT64_C(1000000000)
#define TICK_NS (SECOND_NS / 20)

enum { EVENTS_PER_TURN = 128, PAUSE_NS_MIN = 5000, PAUSE_NS_MAX = 1000000, PAUSES_PER_WINDOW = 16 };

// ---- building

struct load *load_create(const struct options *options, uint64_t publisher_count, uint64_t consumer_count)
{
    struct load *load = take_memory(sizeof *load);

    load->options = options;
    load->publishers = take_memory(publisher_count * sizeof *load->publishers);
    load->consumers = take_memory(consumer_count * sizeof *load->consumers);
    load->publisher_count = publisher_count;
    load->consumer_count = consumer_count;
    load->pattern = pattern_create(options->body_bytes);
    load->timer = -1;
    load->pauses = options->rate == 0;
    // In a closed loop the latency is that of the queue which the window fills: a sample of it is enough.
    load->measurement.sample_mask = options->rate > 0 ? 0 : 63;
    process_tree_name(&load->broker, options->broker_pids);
    process_tree_refresh(&load->broker);
    return load;
}

struct publisher *load_publisher(struct load *load, uint64_t index, struct connection *connection)
{
    const struct options *options = load->options;
    struct publisher *publisher = &load->publishers[index];

    publisher->connection = connection;
    publisher->measurement = &load->measurement;
    publisher->identity = index << 48;
    publisher->window = options->window / load->publisher_count;
    if (!publisher->window)
        publisher->window = 1;
    publisher->batch_min = publisher->window / 8 ? publisher->window / 8 : 1;
    if (options->rate > 0)
        publisher->interval_ns = (uint64_t)(1e9 / options->rate * (double)load->publisher_count);
    connection->publisher = publisher;
    if (!connection->on_input)
        connection->on_input = publisher_on_input;
    return publisher;
}

void load_streams(struct load *load, struct consumer *consumer, uint64_t first, uint64_t count)
{
    free(consumer->streams);
    consumer->streams = take_memory(count * sizeof *consumer->streams);
    consumer->stream_count = count;
    for (uint64_t i = 0; i < count; i++)
        consumer->streams[i] =
            (struct stream){.identity = (first + i) << 48, .stride = 1, .published = &load->drained_count};
}

struct consumer *load_consumer(struct load *load, uint64_t index, struct connection *connection, uint64_t stream_number)
{
    const struct options *options = load->options;
    struct consumer *consumer = &load->consumers[index];

    consumer->connection = connection;
    consumer->measurement = &load->measurement;
    consumer->pattern = load->pattern;
    consumer->body_bytes = options->body_bytes;
    consumer->no_ack = true;
    consumer->ack_every = options->prefetch_count / 4 ? options->prefetch_count / 4 : 1;
    load_streams(load, consumer, stream_number, 1);
    connection->consumer = consumer;
    if (!connection->on_input)
        connection->on_input = consumer_on_input;
    return consumer;
}

void load_join(struct publisher *publisher, struct stream *stream)
{
    size_t count = publisher->receipt_count + 1;

    publisher->receipts = grow_memory(publisher->receipts, count * sizeof(struct stream *));
    publisher->receipts[publisher->receipt_count++] = stream;
    stream->published = &publisher->sent;
}

void load_watch(struct load *load)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll < 0)
        fail("epoll_create1: %s", strerror(errno));
    for (uint64_t i = 0; i < load->publisher_count; i++)
        connection_watch(load->publishers[i].connection, load->epoll);
    for (uint64_t i = 0; i < load->consumer_count; i++) {
        connection_watch(load->consumers[i].connection, load->epoll);
        load->consumers[i].connection->on_input(load->consumers[i].connection, now_ns()); // what came behind consume-ok
    }
    if (load->options->rate > 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

        load->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (load->timer < 0 || epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->timer, &event))
            fail("timerfd: %s", strerror(errno));
    }
}

// ---- one turn of the loop

static void set_timer(struct load *load)
{
    uint64_t due = UINT64_MAX;
    struct itimerspec time = {0};

    for (uint64_t i = 0; i < load->publisher_count; i++)
        if (load->publishers[i].sent < load->publishers[i].limit && load->publishers[i].due_ns < due)
            due = load->publishers[i].due_ns;
    if (due != UINT64_MAX) {
        time.it_value.tv_sec = (time_t)(due / SECOND_NS);
        time.it_value.tv_nsec = (long)(due % SECOND_NS);
    }
    timerfd_settime(load->timer, TFD_TIMER_ABSTIME, &time, NULL);
}

static uint64_t published(const struct load *load)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < load->publisher_count; i++)
        sum += load->publishers[i].sent;
    return sum;
}

// How many messages can be under way before the broker has to wait for this process.
static uint64_t in_flight_max(const struct load *load)
{
    uint64_t in_flight = load->publisher_count ? load->options->window : UINT64_MAX;
    uint64_t prefetched = load->options->prefetch_count * load->consumer_count;

    return load->consumer_count && !load->consumers[0].no_ack && prefetched < in_flight ? prefetched : in_flight;
}

// The pause lets the broker fill the socket buffers, so that this process reads and writes in batches and stays cheap.
// It is a small part of the time in which the broker turns over what can be in flight.
static void adapt_pause(struct load *load, uint64_t now)
{
    uint64_t moved = load->publisher_count ? published(load) : load_delivered(load),
             done = moved - load->tick_published;
    double turnover = (double)in_flight_max(load) * (double)(now - load->tick_ns) / (double)(done ? done : 1);
    double pause = turnover / PAUSES_PER_WINDOW;

    load->pause_ns = pause < PAUSE_NS_MIN ? PAUSE_NS_MIN : pause > PAUSE_NS_MAX ? PAUSE_NS_MAX : (uint64_t)pause;
    load->tick_published = moved;
}

static void note_resident(struct load *load)
{
    struct resident now = process_tree_resident(&load->broker);

    if (now.total_bytes > load->peak.total_bytes)
        load->peak.total_bytes = now.total_bytes;
    if (now.anonymous_bytes > load->peak.anonymous_bytes)
        load->peak.anonymous_bytes = now.anonymous_bytes;
}

static void tick(struct load *load, uint64_t now)
{
    if (now - load->tick_ns < TICK_NS)
        return;
    if (load->pauses)
        adapt_pause(load, now);
    load->tick_ns = now;
    note_resident(load);
    for (uint64_t i = 0; i < load->consumer_count; i++)
        if (!load->consumers[i].no_ack)
            consumer_ack(&load->consumers[i]); // those that do not fill a batch
}

static void on_readable(struct connection *connection)
{
    bool more;

    do {
        more = connection_receive(connection);
        connection->on_input(connection, now_ns());
    } while (more);
}

void load_turn(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_PER_TURN];
    uint64_t now = now_ns(), left = until_ns > now ? (until_ns - now) / 1000000 + 1 : 0;
    int count;

    if (load->timer >= 0)
        set_timer(load);
    count = epoll_wait(load->epoll, events, EVENTS_PER_TURN, left < 20 ? (int)left : 20);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;

        if (!connection) {
            uint64_t expirations;
            ssize_t unused = read(load->timer, &expirations, sizeof expirations);

            (void)unused;
            continue;
        }
        if (events[i].events & EPOLLOUT)
            connection_flush(connection);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            on_readable(connection);
    }
    for (uint64_t i = 0; i < load->publisher_count; i++)
        publisher_pump(&load->publishers[i]);
    tick(load, now_ns());
    if (load->pauses && load->pause_ns)
        sleep_ns(load->pause_ns);
}

// ---- the phases

uint64_t load_delivered(const struct load *load)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < load->consumer_count; i++)
        for (uint64_t j = 0; j < load->consumers[i].stream_count; j++)
            sum += load->consumers[i].streams[j].arrived;
    return sum;
}

static uint64_t confirmed(const struct load *load)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < load->publisher_count; i++)
        sum += load->publishers[i].confirmed;
    return sum;
}

struct snapshot load_snapshot(struct load *load)
{
    process_tree_refresh(&load->broker);
    return (struct snapshot){
        .time_ns = now_ns(),
        .published = published(load),
        .delivered = load_delivered(load),
        .confirmed = confirmed(load),
        .broker_seconds = process_tree_cpu_seconds(&load->broker),
        .own_seconds = own_cpu_seconds(),
        .machine = machine_cpu(),
        .resident = process_tree_resident(&load->broker),
    };
}

static bool is_complete(const struct load *load)
{
    for (uint64_t i = 0; i < load->publisher_count; i++) {
        const struct publisher *publisher = &load->publishers[i];

        if (publisher->connection->pending_length || publisher_unconfirmed(publisher))
            return false;
        if (publisher->sent < publisher->limit)
            return false;
    }
    for (uint64_t i = 0; i < load->consumer_count; i++)
        for (uint64_t j = 0; j < load->consumers[i].stream_count; j++)
            if (stream_lost(&load->consumers[i].streams[j]))
                return false;
    return true;
}

// Turns until everything has come and is confirmed, or until nothing has moved for stall_seconds.
static void run_until_complete(struct load *load)
{
    uint64_t patience = (uint64_t)(load->options->stall_seconds * 1e9), moved = 0, moved_ns = now_ns();

    while (!is_complete(load) && now_ns() - moved_ns < patience) {
        uint64_t now_moved;

        load_turn(load, now_ns() + TICK_NS);
        now_moved = published(load) + load_delivered(load) + confirmed(load);
        if (now_moved != moved) {
            moved = now_moved;
            moved_ns = now_ns();
        }
    }
}

// Late duplicates, and the last acknowledgements.
static void linger(struct load *load)
{
    uint64_t until = now_ns() + SECOND_NS / 8;

    load->pauses = false;
    while (now_ns() < until)
        load_turn(load, until);
}

static void run_window(struct load *load)
{
    uint64_t until = now_ns() + (uint64_t)(load->options->warm_up_seconds * 1e9);

    while (now_ns() < until)
        load_turn(load, until);
    load->begin = load_snapshot(load);
    until = load->begin.time_ns + (uint64_t)(load->options->seconds * 1e9);
    load->measurement.on = true;
    while (now_ns() < until)
        load_turn(load, until);
    load->measurement.on = false;
    load->end = load_snapshot(load);
    for (uint64_t i = 0; i < load->publisher_count; i++)
        load->publishers[i].limit = load->publishers[i].sent;
    run_until_complete(load);
}

static void run_count(struct load *load)
{
    for (uint64_t i = 0; i < load->publisher_count; i++)
        load->publishers[i].limit = load->options->count / load->publisher_count;
    load->begin = load_snapshot(load);
    load->measurement.on = true;
    run_until_complete(load);
    load->measurement.on = false;
    load->end = load_snapshot(load);
}

void load_run(struct load *load)
{
    uint64_t start = now_ns();

    for (uint64_t i = 0; i < load->publisher_count; i++)
        load->publishers[i].due_ns = start + SECOND_NS / 1000 + i * 100000;
    load->tick_ns = start;
    if (load->options->count)
        run_count(load);
    else
        run_window(load);
    linger(load);
}

void load_run_drain(struct load *load)
{
    load->drained_count = load->options->count;
    load->tick_ns = now_ns();
    run_until_complete(load);
    load->end = load_snapshot(load);
    linger(load);
}
