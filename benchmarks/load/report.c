// report: the figures as members of the JSON object that a run prints.
#include <stdio.h>

#include "load.h"

static void print_count(const char *name, uint64_t value) { printf("\"%s\": %llu, ", name, (unsigned long long)value); }

void report_window(const struct load *load)
{
    const struct snapshot *begin = &load->begin, *end = &load->end;
    double seconds = (double)(end->time_ns - begin->time_ns) / 1e9;
    double broker = end->broker_seconds - begin->broker_seconds, own = end->own_seconds - begin->own_seconds;
    double busy = end->machine.busy_seconds - begin->machine.busy_seconds;
    // Where nobody consumes, the work done is what was confirmed.
    double work = load->consumer_count ? (double)(end->delivered - begin->delivered)
                                       : (double)(end->confirmed - begin->confirmed);

    printf("\"body_bytes\": %llu, \"window\": %llu, \"publishers\": %llu, \"consumers\": %llu, ",
           (unsigned long long)load->options->body_bytes, (unsigned long long)load->options->window,
           (unsigned long long)load->publisher_count, (unsigned long long)load->consumer_count);
    printf("\"seconds\": %.4f, \"messages_per_second\": %.1f, \"published_per_second\": %.1f, ", seconds,
           work / seconds, (double)(end->published - begin->published) / seconds);
    printf("\"broker_cpu_seconds\": %.2f, \"messages_per_broker_cpu_second\": %.1f, ", broker,
           broker > 0 ? work / broker : 0);
    printf("\"broker_cores\": %.3f, \"own_cores\": %.3f, \"other_cores\": %.3f, \"stolen_cores\": %.3f, ",
           broker / seconds, own / seconds, (busy - broker - own) / seconds,
           (end->machine.stolen_seconds - begin->machine.stolen_seconds) / seconds);
    print_count("rss_begin_bytes", begin->resident.total_bytes);
    print_count("rss_end_bytes", end->resident.total_bytes);
    print_count("rss_peak_bytes", load->peak.total_bytes);
    print_count("rss_anonymous_begin_bytes", begin->resident.anonymous_bytes);
    print_count("rss_anonymous_end_bytes", end->resident.anonymous_bytes);
    print_count("rss_anonymous_peak_bytes", load->peak.anonymous_bytes);
}

static void report_histogram(const char *name, const struct histogram *histogram)
{
    if (!histogram->count)
        return;
    printf("\"%s\": {\"count\": %llu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"highest\": %.1f}, ", name,
           (unsigned long long)histogram->count, histogram_quantile_us(histogram, 0.5),
           histogram_quantile_us(histogram, 0.9), histogram_quantile_us(histogram, 0.99),
           (double)histogram->highest / 1000);
}

void report_latency(const struct load *load)
{
    report_histogram("delivery_us", &load->measurement.delivery);
    report_histogram("confirm_us", &load->measurement.confirm);
    report_histogram("send_lateness_us", &load->measurement.lateness);
}

void report_integrity(const struct load *load)
{
    uint64_t lost = 0, duplicated = 0, reordered = 0, corrupt = 0, misrouted = 0, redelivered = 0, compared = 0;
    uint64_t published = 0, nacked = 0, unconfirmed = 0, unexpected = 0, blocked = 0;

    for (uint64_t i = 0; i < load->consumer_count; i++) {
        for (uint64_t j = 0; j < load->consumers[i].stream_count; j++) {
            const struct stream *stream = &load->consumers[i].streams[j];

            lost += stream_lost(stream);
            duplicated += stream->duplicated;
            reordered += stream->reordered;
            corrupt += stream->corrupt;
            misrouted += stream->misrouted;
            redelivered += stream->redelivered;
            compared += stream->compared;
        }
    }
    for (uint64_t i = 0; i < load->publisher_count; i++) {
        const struct publisher *publisher = &load->publishers[i];

        published += publisher->sent;
        nacked += publisher->nacked;
        unconfirmed += publisher_unconfirmed(publisher);
        unexpected += publisher->unexpected_confirms;
        blocked += publisher->blocked;
    }
    print_count("published", published);
    print_count("delivered", load_delivered(load));
    print_count("bodies_compared", compared);
    print_count("blocked", blocked);
    printf("\"faults\": {");
    print_count("lost", lost);
    print_count("duplicated", duplicated);
    print_count("reordered", reordered);
    print_count("corrupt", corrupt);
    print_count("misrouted", misrouted);
    print_count("redelivered", redelivered);
    print_count("nacked", nacked);
    print_count("unconfirmed", unconfirmed);
    print_count("unexpected_confirms", unexpected);
    printf("\"left_in_queues\": %llu}", (unsigned long long)load->left_in_queues);
}

void report_run(const struct load *load)
{
    printf("{\"mode\": \"%s\", ", load->options->mode);
    report_window(load);
    report_latency(load);
    report_integrity(load);
    printf("}\n");
}
