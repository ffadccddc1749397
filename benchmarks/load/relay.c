// relay: copies bytes from socket to socket and does nothing else: what a publisher writes is what the consumer of the
// same pair gets. No broker can be faster by much, so it is the limit that a broker is measured against. One thread.
//
// A connection's first two bytes say what it is: 'P' (its bytes are taken) or 'C' (they go there), and the number of
// the pair.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"

enum { PAIRS = 256, BUFFER_BYTES = 256 * 1024, EVENTS_PER_TURN = 64, LISTENER = 2 * PAIRS };

struct pair {
    int publisher, consumer; // descriptors; -1: not there
    char *buffer;
    size_t sent, length; // of what is in the buffer
    bool consumer_full;
};

static struct pair pairs[PAIRS];
static int epoll;

static void watch(int operation, int descriptor, uint32_t events, uint32_t place)
{
    struct epoll_event event = {.events = events, .data.u32 = place};

    if (epoll_ctl(epoll, operation, descriptor, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static void end_pair(struct pair *pair)
{
    if (pair->publisher >= 0)
        close(pair->publisher);
    if (pair->consumer >= 0)
        close(pair->consumer);
    pair->publisher = pair->consumer = -1;
    pair->sent = pair->length = 0;
    pair->consumer_full = false;
}

// While the consumer's socket is full, the publisher is not read.
static void set_consumer_full(struct pair *pair, bool full)
{
    uint32_t place = (uint32_t)(pair - pairs) * 2;

    if (pair->consumer_full == full)
        return;
    pair->consumer_full = full;
    watch(EPOLL_CTL_MOD, pair->publisher, full ? 0 : EPOLLIN, place);
    watch(EPOLL_CTL_MOD, pair->consumer, full ? EPOLLIN | EPOLLOUT : EPOLLIN, place + 1);
}

static void forward(struct pair *pair)
{
    while (pair->sent < pair->length) {
        ssize_t sent =
            send(pair->consumer, pair->buffer + pair->sent, pair->length - pair->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN) {
            set_consumer_full(pair, true);
            return;
        }
        if (sent < 0) {
            end_pair(pair);
            return;
        }
        pair->sent += (size_t)sent;
    }
    pair->sent = pair->length = 0;
    set_consumer_full(pair, false);
}

static void on_publisher(struct pair *pair)
{
    ssize_t got;

    if (pair->length)
        return;
    got = recv(pair->publisher, pair->buffer, BUFFER_BYTES, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        end_pair(pair);
        return;
    }
    pair->length = (size_t)got;
    forward(pair);
}

static void on_consumer(struct pair *pair, uint32_t events)
{
    char unused[256];

    if (events & EPOLLOUT)
        forward(pair);
    if (pair->consumer >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR) &&
        recv(pair->consumer, unused, sizeof unused, MSG_DONTWAIT) == 0)
        end_pair(pair);
}

static void on_connection(int listener)
{
    int yes = 1, descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct timeval patience = {2, 0};
    unsigned char greeting[2];
    struct pair *pair;

    if (descriptor < 0)
        return;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (recv(descriptor, greeting, sizeof greeting, MSG_WAITALL) != sizeof greeting) {
        close(descriptor); // somebody who only looked whether the port is open
        return;
    }
    pair = &pairs[greeting[1]];
    if (greeting[0] == 'C') { // the consumer comes first: nothing is read before there is somewhere to put it
        end_pair(pair);
        pair->consumer = descriptor;
        watch(EPOLL_CTL_ADD, descriptor, EPOLLIN, (uint32_t)greeting[1] * 2 + 1);
    } else if (greeting[0] == 'P' && pair->consumer >= 0 && pair->publisher < 0) {
        pair->publisher = descriptor;
        if (!pair->buffer)
            pair->buffer = take_memory(BUFFER_BYTES);
        watch(EPOLL_CTL_ADD, descriptor, EPOLLIN, (uint32_t)greeting[1] * 2);
    } else {
        close(descriptor);
    }
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
        fail("port %d: %s", port, strerror(errno));
    return listener;
}

int main(int argument_count, char **arguments)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int listener;

    if (argument_count != 2) {
        fputs("usage: relay PORT\n", stderr);
        return 2;
    }
    for (int i = 0; i < PAIRS; i++)
        pairs[i].publisher = pairs[i].consumer = -1;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    listener = listen_on(atoi(arguments[1]));
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, LISTENER);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_PER_TURN, -1);

        for (int i = 0; i < count; i++) {
            uint32_t place = events[i].data.u32;
            struct pair *pair = &pairs[place / 2 % PAIRS];

            if (place == LISTENER)
                on_connection(listener);
            else if (place % 2 == 0 && pair->publisher >= 0)
                on_publisher(pair);
            else if (place % 2 == 1 && pair->consumer >= 0)
                on_consumer(pair, events[i].events);
        }
    }
}
