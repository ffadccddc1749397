// load: a load generator for AMQP 0-9-1 that checks every message. One thread, one epoll set, loopback only.
// The result is one JSON object on stdout; an error ends it with status 1 and a line on stderr.
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "fail.h"
#include "modes.h"
#include "stream.h"

static const struct mode {
    const char *name;
    void (*run)(const struct options *options);
} modes[] = {
    {"transient", mode_transient}, {"durable", mode_durable}, {"topic", mode_topic}, {"fanout", mode_fanout},
    {"relay", mode_relay},         {"fill", mode_fill},       {"drain", mode_drain}, {"idle", mode_idle},
    {"mqtt", mode_mqtt},           {"mqtt-fanout", mode_mqtt_fanout}, {"mqtt-fanin", mode_mqtt_fanin},
    {"mqtt-filters", mode_mqtt_filters}, {"mqtt-amqp", mode_mqtt_amqp}, {"mqtt-relay", mode_mqtt_relay},
    {"mqtt-idle", mode_mqtt_idle}, {"mqtt-storm", mode_mqtt_storm},
};

enum { MODE_COUNT = sizeof modes / sizeof *modes };

static _Noreturn void print_usage(int status)
{
    fputs("usage: load --mode MODE --port PORT [options]\n"
          "  --mode transient|durable|topic|fanout|relay|fill|drain|idle|\n"
          "         mqtt|mqtt-fanout|mqtt-fanin|mqtt-filters|mqtt-amqp|mqtt-relay|mqtt-idle|mqtt-storm\n"
          "  --pid PID[,PID]        the broker: its CPU and memory are measured, with its descendants\n"
          "  --body BYTES           16 and up (16)\n"
          "  --window MESSAGES      outstanding at most, in total (4096)\n"
          "  --warm-up S --seconds S    the measured window (1, 5); idle: how long (10 is a good value)\n"
          "  --count MESSAGES       instead of a window; fill and drain: how many\n"
          "  --rate PER_SECOND      open loop\n"
          "  --pairs N              publishers and consumers (1)\n"
          "  --prefetch N           of consumers that acknowledge (1000); each basic.ack covers a quarter of it\n"
          "  --queue NAME           fill and drain\n"
          "  --queue-type TYPE      x-queue-type of durable queues\n"
          "  --qos 0|1|2 --mqtt-version 4|5    mqtt-* (0, 4)\n"
          "  --persistent           mqtt-*: into sessions that outlive their connections\n"
          "  --websocket            mqtt-*: over WebSocket, /ws on --port\n"
          "  --publishers N --subscribers N    mqtt-fanin, mqtt-fanout, mqtt-filters (50, 100)\n"
          "  --amqp-port PORT       mqtt-amqp: where it is consumed\n"
          "  --connections N --concurrency N    idle (10000, 64)\n"
          "  --stall S              nothing moves for so long: what is missing is lost (10)\n"
          "  --confirms --manual-ack    relay: expect confirms, send acknowledgements\n"
          "  --user U --password P --vhost V    (guest, guest, /)\n",
          status ? stderr : stdout);
    exit(status);
}

enum {
    OPTION_FIRST = 1000,
    MODE,
    PORT,
    PID,
    BODY,
    WINDOW,
    WARM_UP,
    SECONDS,
    COUNT,
    RATE,
    PAIRS,
    PREFETCH,
    QUEUE,
    QUEUE_TYPE,
    QOS,
    MQTT_VERSION,
    PERSISTENT,
    WEBSOCKET,
    PUBLISHERS,
    SUBSCRIBERS,
    AMQP_PORT,
    CONNECTIONS,
    CONCURRENCY,
    STALL,
    CONFIRMS,
    MANUAL_ACK,
    USER,
    PASSWORD,
    VHOST,
    HELP
};

static const struct option long_options[] = {
    {"mode", 1, 0, MODE},
    {"port", 1, 0, PORT},
    {"pid", 1, 0, PID},
    {"body", 1, 0, BODY},
    {"window", 1, 0, WINDOW},
    {"warm-up", 1, 0, WARM_UP},
    {"seconds", 1, 0, SECONDS},
    {"count", 1, 0, COUNT},
    {"rate", 1, 0, RATE},
    {"pairs", 1, 0, PAIRS},
    {"prefetch", 1, 0, PREFETCH},
    {"queue", 1, 0, QUEUE},
    {"queue-type", 1, 0, QUEUE_TYPE},
    {"qos", 1, 0, QOS},
    {"mqtt-version", 1, 0, MQTT_VERSION},
    {"persistent", 0, 0, PERSISTENT},
    {"websocket", 0, 0, WEBSOCKET},
    {"publishers", 1, 0, PUBLISHERS},
    {"subscribers", 1, 0, SUBSCRIBERS},
    {"amqp-port", 1, 0, AMQP_PORT},
    {"connections", 1, 0, CONNECTIONS},
    {"concurrency", 1, 0, CONCURRENCY},
    {"stall", 1, 0, STALL},
    {"confirms", 0, 0, CONFIRMS},
    {"manual-ack", 0, 0, MANUAL_ACK},
    {"user", 1, 0, USER},
    {"password", 1, 0, PASSWORD},
    {"vhost", 1, 0, VHOST},
    {"help", 0, 0, HELP},
    {0},
};

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (end == text || *end)
        fail("not a number: %s", text);
    return value;
}

static double fraction(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || value < 0)
        fail("not a number: %s", text);
    return value;
}

static void parse(struct options *options, int argument_count, char **arguments)
{
    int option;

    while ((option = getopt_long(argument_count, arguments, "", long_options, NULL)) != -1) {
        switch (option) {
        case MODE: options->mode = optarg; break;
        case PORT: options->port = (int)number(optarg); break;
        case PID: options->broker_pids = optarg; break;
        case BODY: options->body_bytes = number(optarg); break;
        case WINDOW: options->window = number(optarg); break;
        case WARM_UP: options->warm_up_seconds = fraction(optarg); break;
        case SECONDS: options->seconds = fraction(optarg); break;
        case COUNT: options->count = number(optarg); break;
        case RATE: options->rate = fraction(optarg); break;
        case PAIRS: options->pairs = number(optarg); break;
        case PREFETCH: options->prefetch_count = number(optarg); break;
        case QUEUE: options->queue = optarg; break;
        case QUEUE_TYPE: options->queue_type = optarg; break;
        case QOS: options->qos = number(optarg); break;
        case MQTT_VERSION: options->mqtt_version = number(optarg); break;
        case PERSISTENT: options->persistent = true; break;
        case WEBSOCKET: options->websocket = true; break;
        case PUBLISHERS: options->publishers = number(optarg); break;
        case SUBSCRIBERS: options->subscribers = number(optarg); break;
        case AMQP_PORT: options->amqp_port = (int)number(optarg); break;
        case CONNECTIONS: options->connections = number(optarg); break;
        case CONCURRENCY: options->concurrency = number(optarg); break;
        case STALL: options->stall_seconds = fraction(optarg); break;
        case CONFIRMS: options->confirms = true; break;
        case MANUAL_ACK: options->manual_ack = true; break;
        case USER: options->credentials.user = optarg; break;
        case PASSWORD: options->credentials.password = optarg; break;
        case VHOST: options->credentials.vhost = optarg; break;
        case HELP: print_usage(0);
        default: print_usage(2);
        }
    }
    if (!options->mode || options->port < 1 || options->port > 65535 || optind != argument_count)
        print_usage(2);
}

static void check(const struct options *options)
{
    bool by_count = strcmp(options->mode, "fill") == 0 || strcmp(options->mode, "drain") == 0;

    if (options->body_bytes < BODY_HEAD_BYTES)
        fail("--body is at least %d", BODY_HEAD_BYTES);
    if (options->pairs < 1 || options->pairs > 255)
        fail("--pairs is 1 to 255");
    if (options->window < 1 || options->connections < 1 || options->concurrency < 1)
        fail("--window, --connections and --concurrency are at least 1");
    if (options->prefetch_count < 1 || options->prefetch_count > 65535)
        fail("--prefetch is 1 to 65535");
    if (options->qos > 2 || (options->mqtt_version != 4 && options->mqtt_version != 5))
        fail("--qos is 0, 1 or 2, --mqtt-version 4 or 5");
    if (options->publishers < 1 || options->publishers > 4096 || options->subscribers < 1 || options->subscribers > 10000)
        fail("--publishers is 1 to 4096, --subscribers 1 to 10000");
    if (by_count && (!options->count || !options->queue))
        fail("--mode %s wants --count and --queue", options->mode);
}

int main(int argument_count, char **arguments)
{
    struct options options = {
        .credentials = {"guest", "guest", "/"},
        .broker_pids = "",
        .body_bytes = 16,
        .window = 4096,
        .mqtt_version = 4,
        .publishers = 50,
        .subscribers = 100,
        .pairs = 1,
        .prefetch_count = 1000,
        .connections = 10000,
        .concurrency = 64,
        .warm_up_seconds = 1,
        .seconds = 5,
        .stall_seconds = 10,
    };

    parse(&options, argument_count, arguments);
    check(&options);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0); // ns: the pauses are short
    for (int i = 0; i < MODE_COUNT; i++) {
        if (strcmp(options.mode, modes[i].name) == 0) {
            modes[i].run(&options);
            return 0;
        }
    }
    print_usage(2);
}
