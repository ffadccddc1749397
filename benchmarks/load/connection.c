#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fail.h"
#include "websocket.h"

int loopback_connect(int port, int source, bool blocking)
{
    struct sockaddr_in broker = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int yes = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);

    if (descriptor < 0)
        fail("socket: %s", strerror(errno));
    broker.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (source) { // each source address has ports of its own
        struct sockaddr_in self = {.sin_family = AF_INET};

        self.sin_addr.s_addr = htonl(0x7f000100u + (uint32_t)source);
        setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(descriptor, (struct sockaddr *)&self, sizeof self))
            fail("bind: %s", strerror(errno));
    }
    if (connect(descriptor, (struct sockaddr *)&broker, sizeof broker) && errno != EINPROGRESS)
        fail("connect to port %d: %s", port, strerror(errno));
    return descriptor;
}

struct connection *connection_open(int port, size_t input_capacity)
{
    struct connection *connection = take_memory(sizeof *connection);
    struct timeval patience = {60, 0};

    connection->descriptor = loopback_connect(port, 0, true);
    setsockopt(connection->descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connection->epoll = -1;
    connection->input = take_memory(input_capacity);
    connection->input_capacity = input_capacity;
    return connection;
}

void connection_send_all(struct connection *connection, const void *bytes, size_t length)
{
    const uint8_t *rest = bytes;

    while (length) {
        ssize_t sent = send(connection->descriptor, rest, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            fail("send: %s", strerror(errno));
        rest += sent;
        length -= (size_t)sent;
    }
}

static void take_input(struct connection *connection, size_t length)
{
    if (connection->websocket)
        websocket_unframe(connection, length);
    else
        connection->input_length += length;
}

void connection_receive_some(struct connection *connection)
{
    size_t used = connection->input_length + connection->raw_length, room = connection->input_capacity - used;
    ssize_t got = recv(connection->descriptor, connection->input + used, room, 0);

    if (got < 0 && errno == EINTR)
        return;
    if (got < 0)
        fail("no answer from the broker: %s", strerror(errno));
    if (got == 0)
        fail("the broker closed the connection while it was being set up");
    take_input(connection, (size_t)got);
}

void connection_drop_input(struct connection *connection, size_t length)
{
    memmove(connection->input, connection->input + length, connection->input_length - length + connection->raw_length);
    connection->input_length -= length;
}

void connection_watch(struct connection *connection, int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->descriptor, &event))
        fail("epoll_ctl: %s", strerror(errno));
    connection->epoll = epoll;
}

static void await_writable(struct connection *connection, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = connection};

    if (connection->awaits_writable == wanted)
        return;
    connection->awaits_writable = wanted;
    epoll_ctl(connection->epoll, EPOLL_CTL_MOD, connection->descriptor, &event);
}

void connection_answer(struct connection *connection, const void *bytes, size_t length)
{
    if (connection->websocket)
        websocket_frame(&connection->answers, bytes, length);
    else
        wire_bytes(&connection->answers, bytes, length);
}

static bool next_pending(struct connection *connection)
{
    struct wire spent = connection->leaving;

    if (connection->pending_length)
        return true;
    if (!connection->answers.length)
        return false;
    spent.length = 0;
    connection->leaving = connection->answers;
    connection->answers = spent;
    connection->pending = connection->leaving.bytes;
    connection->pending_length = connection->leaving.length;
    return true;
}

bool connection_flush(struct connection *connection)
{
    while (next_pending(connection)) {
        ssize_t sent =
            send(connection->descriptor, connection->pending, connection->pending_length, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            await_writable(connection, true);
            return false;
        }
        if (sent < 0)
            fail("send: %s", strerror(errno));
        connection->pending += sent;
        connection->pending_length -= (size_t)sent;
    }
    await_writable(connection, false);
    return true;
}

bool connection_receive(struct connection *connection)
{
    size_t used = connection->input_length + connection->raw_length, room = connection->input_capacity - used;
    ssize_t got = recv(connection->descriptor, connection->input + used, room, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got < 0)
        fail("recv: %s", strerror(errno));
    if (got == 0)
        fail("the broker closed the connection of a %s", connection->publisher ? "publisher" : "consumer");
    take_input(connection, (size_t)got);
    return (size_t)got == room;
}

void connection_close(struct connection *connection)
{
    close(connection->descriptor);
    free(connection->input);
    wire_free(&connection->answers);
    wire_free(&connection->leaving);
    free(connection);
}
