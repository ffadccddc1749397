#include "publisher.h"

#include "amqp_wire.h"
#include "fail.h"
#include "machine.h"
#include "session.h"

enum { RING_BYTES = 256 * 1024, SLOTS_MAX = 4096, SLOTS_MIN = 16 };

// ---- the ring

static void write_body(struct wire *wire, struct slot *slot, const struct publication *publication, uint64_t sequence)
{
    const uint8_t *pattern = pattern_of(publication->pattern, sequence);
    size_t frame_body_max = publication->frame_max - FRAME_OVERHEAD_BYTES, offset = 0;

    while (offset < publication->body_bytes) {
        size_t rest = publication->body_bytes - offset, length = rest < frame_body_max ? rest : frame_body_max;
        size_t start = wire_frame_begin(wire, FRAME_BODY, 1);

        if (offset == 0)
            slot->body = wire->length;
        wire_bytes(wire, pattern + offset, length);
        wire_frame_end(wire, start);
        offset += length;
    }
}

void write_amqp_message(struct wire *wire, struct slot *slot, const struct publication *publication, uint64_t sequence)
{
    size_t start;

    slot->offset = wire->length;
    start = wire_method_begin(wire, 1, BASIC_PUBLISH);
    wire_short(wire, 0);
    wire_shortstr(wire, publication->exchange);
    wire_shortstr(wire, publication->routing_keys[sequence % publication->routing_key_count]);
    wire_octet(wire, 0);
    wire_frame_end(wire, start);

    start = wire_frame_begin(wire, FRAME_HEADER, 1);
    wire_short(wire, BASIC_PUBLISH >> 16);
    wire_short(wire, 0);
    wire_longlong(wire, publication->body_bytes);
    wire_short(wire, publication->persistent ? 0x1000 : 0); // property flag: delivery-mode
    if (publication->persistent)
        wire_octet(wire, 2);
    wire_frame_end(wire, start);

    write_body(wire, slot, publication, sequence);
    slot->end = wire->length;
}

void publisher_prepare(struct publisher *publisher, const struct publication *publication)
{
    // Slot i holds sequence numbers i, i + slot_count, ...: their routing key and pattern phase must be the same.
    size_t cycle = publication->routing_key_count * PATTERN_PHASES, count = RING_BYTES / (publication->body_bytes + 64);
    struct wire wire = {0};

    if (count > SLOTS_MAX)
        count = SLOTS_MAX;
    if (count < SLOTS_MIN)
        count = SLOTS_MIN;
    count = (count + cycle - 1) / cycle * cycle;
    publisher->slots = take_memory(count * sizeof *publisher->slots);
    publisher->slot_count = count;
    for (size_t i = 0; i < count; i++)
        publication->write(&wire, &publisher->slots[i], publication, i);
    publisher->ring = wire.bytes;
    publisher->limit = UINT64_MAX;
    if (publication->mqtt_version)
        publisher->stamp_mask = PACKET_IDS - 1;
}

// ---- publishing

static uint64_t received(const struct publisher *publisher)
{
    uint64_t least = publisher->sent, sum = 0;

    for (size_t i = 0; i < publisher->receipt_count; i++) {
        uint64_t arrived = publisher->receipts[i]->arrived;

        sum += arrived;
        if (arrived < least)
            least = arrived;
    }
    return publisher->divided ? sum : least;
}

static uint64_t outstanding(const struct publisher *publisher)
{
    uint64_t unreceived = publisher->sent - received(publisher), unconfirmed = publisher_unconfirmed(publisher);

    return unreceived > unconfirmed ? unreceived : unconfirmed;
}

static uint64_t allowance(const struct publisher *publisher, uint64_t now)
{
    uint64_t open, allowed;

    if (publisher->interval_ns) {
        allowed = publisher->due_ns > now ? 0 : (now - publisher->due_ns) / publisher->interval_ns + 1;
    } else {
        open = outstanding(publisher);
        allowed = open >= publisher->window ? 0 : publisher->window - open;
        if (allowed < publisher->batch_min)
            allowed = 0; // wait: a few large sends cost less than many small ones
    }
    if (allowed > publisher->limit - publisher->sent)
        allowed = publisher->limit - publisher->sent;
    if (allowed > publisher->slot_count - publisher->position)
        allowed = publisher->slot_count - publisher->position;
    return allowed;
}

// Writes the head of the message in the slot. False when its confirm cannot be tracked yet.
static inline bool stamp(struct publisher *publisher, const struct slot *slot, uint64_t sequence, uint64_t time)
{
    uint64_t head[2] = {publisher->identity | sequence, time};

    if (publisher->confirms) {
        uint64_t *stamp = &publisher->stamps[(sequence + 1) & publisher->stamp_mask]; // delivery tags begin at 1

        if (*stamp)
            return false;
        *stamp = time;
    }
    if (slot->packet_id) {
        uint64_t number = (sequence + 1) % PACKET_IDS;
        uint16_t packet_id = __builtin_bswap16((uint16_t)(number ? number : PACKET_IDS)) ^ slot->packet_id_mask;

        memcpy(publisher->ring + slot->packet_id, &packet_id, sizeof packet_id);
    }
    head[0] ^= slot->body_mask;
    head[1] ^= slot->body_mask;
    memcpy(publisher->ring + slot->body, head, sizeof head);
    return true;
}

void publisher_pump(struct publisher *publisher)
{
    struct connection *connection = publisher->connection;
    struct measurement *measurement = publisher->measurement;

    while (connection_flush(connection)) {
        uint64_t now = now_ns(), allowed = allowance(publisher, now), count = 0;
        const struct slot *first = &publisher->slots[publisher->position];

        for (; count < allowed; count++) {
            uint64_t time = publisher->interval_ns ? publisher->due_ns : now;

            if (!stamp(publisher, first + count, publisher->sent + count, time))
                break;
            if (publisher->interval_ns) {
                if (measurement->on)
                    histogram_add(&measurement->lateness, now - time);
                publisher->due_ns += publisher->interval_ns;
            }
        }
        if (!count)
            return;
        connection->pending = publisher->ring + first->offset;
        connection->pending_length = first[count - 1].end - first->offset;
        publisher->position += count;
        if (publisher->position == publisher->slot_count)
            publisher->position = 0;
        publisher->sent += count;
    }
}

// ---- confirms

void publisher_expect_confirms(struct publisher *publisher)
{
    uint64_t size = 1 << 20; // an open loop may run far ahead of a broker that stalls

    publisher->confirms = true;
    publisher->stamps = take_memory(size * sizeof *publisher->stamps);
    publisher->stamp_mask = size - 1;
    publisher->lowest_unconfirmed = 1;
    if (publisher->window > size)
        fail("the window is larger than %llu", (unsigned long long)size);
}

uint64_t publisher_unconfirmed(const struct publisher *publisher)
{
    return publisher->confirms ? publisher->sent - publisher->confirmed - publisher->nacked : 0;
}

static void settle(struct publisher *publisher, uint64_t tag, bool nack, uint64_t now)
{
    struct measurement *measurement = publisher->measurement;
    uint64_t *stamp = &publisher->stamps[tag & publisher->stamp_mask];

    if (measurement->on && !nack && (tag & measurement->sample_mask) == 0)
        histogram_add(&measurement->confirm, now > *stamp ? now - *stamp : 0);
    *stamp = 0;
    if (nack)
        publisher->nacked++;
    else
        publisher->confirmed++;
}

bool publisher_awaits_packet_id(const struct publisher *publisher, unsigned packet_id)
{
    return publisher->confirms && packet_id && packet_id <= PACKET_IDS &&
           publisher->stamps[packet_id & publisher->stamp_mask];
}

void publisher_on_packet_id(struct publisher *publisher, unsigned packet_id, bool refused, uint64_t now)
{
    if (publisher_awaits_packet_id(publisher, packet_id))
        settle(publisher, packet_id, refused, now);
    else
        publisher->unexpected_confirms++;
}

static void on_confirm(struct publisher *publisher, const uint8_t *arguments, bool nack, uint64_t now)
{
    uint64_t tag = read_longlong(arguments);
    bool multiple = arguments[8] & 1, known = tag <= publisher->sent && tag >= publisher->lowest_unconfirmed;

    if (!publisher->confirms || !known || (!multiple && !publisher->stamps[tag & publisher->stamp_mask])) {
        publisher->unexpected_confirms++;
        return;
    }
    if (multiple) {
        for (uint64_t i = publisher->lowest_unconfirmed; i <= tag; i++)
            if (publisher->stamps[i & publisher->stamp_mask])
                settle(publisher, i, nack, now);
        publisher->lowest_unconfirmed = tag + 1;
    } else {
        settle(publisher, tag, nack, now);
    }
    while (publisher->lowest_unconfirmed <= publisher->sent &&
           !publisher->stamps[publisher->lowest_unconfirmed & publisher->stamp_mask])
        publisher->lowest_unconfirmed++;
}

void publisher_on_input(struct connection *connection, uint64_t now)
{
    struct publisher *publisher = connection->publisher;
    const uint8_t *frame = connection->input, *end = frame + connection->input_length;

    while (end - frame >= FRAME_OVERHEAD_BYTES) {
        uint32_t size = read_long(frame + 3);
        const uint8_t *payload = frame + FRAME_HEAD_BYTES;

        if ((uint64_t)(end - frame) < (uint64_t)size + FRAME_OVERHEAD_BYTES)
            break;
        if (payload[size] != FRAME_END)
            fail("a frame without an end");
        if (frame[0] == FRAME_METHOD) {
            uint32_t method = read_long(payload);

            if (method == BASIC_ACK || method == BASIC_NACK)
                on_confirm(publisher, payload + 4, method == BASIC_NACK, now);
            else if (method == CONNECTION_BLOCKED)
                publisher->blocked++;
            else if (method != CONNECTION_UNBLOCKED)
                fail_as_broker_says(payload, size);
        } else if (frame[0] != FRAME_HEARTBEAT) {
            fail("a frame of type %u to a publisher", frame[0]);
        }
        frame = payload + size + 1;
    }
    connection_drop_input(connection, (size_t)(frame - connection->input));
}
