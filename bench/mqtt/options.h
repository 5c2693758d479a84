#pragma once
// What the command line of mqtt_bench says.

#include <string>

namespace brim::bench {

struct Options {
    std::string mode;
    std::string host = "127.0.0.1";
    std::string label;
    int port = 1883;
    int publishers = 1;
    int subscribers = 1;
    int qos = 0;
    int version = 4; ///< protocol level in CONNECT: 4 or 5
    int payload_bytes = 256;
    double rate = 0;  ///< messages per second of all publishers together; 0 = closed loop
    int window = 100; ///< closed loop: outstanding messages per publisher
    double warm_s = 1;
    double measure_s = 5;
    double drain_s = 5;
    bool shared = false;     ///< subscribers share one subscription
    bool tls = false;        ///< TLS 1.3, the server's certificate is not checked
    bool resume = false;     ///< TLS sessions are resumed
    bool busy = false;       ///< open loop: spin instead of sleeping
    bool pairs = false;      ///< forward: publisher i -> subscriber i
    bool batched = true;     ///< forward: one send for each connection and turn
    bool persistent = false; ///< sessions of subscribers are kept
    bool fresh = false;      ///< each message is published to a topic of its own
    int extra = 0;           ///< subscriptions of others that match nothing
    bool wild = false;       ///< ... with wildcards
    int stalled = 0;         ///< fanout: so many of the subscribers stop reading
    bool subscribe = false;  ///< idle, storm: one subscription for each connection
    int total = 1000; ///< connect, idle, storm: connections; disk: records in a batch; retain, replay: topics
    int concurrent = 50;     ///< connect, idle, storm: attempts in progress
    int broker_pid = 0;      ///< whose CPU time and memory is read; 0 = nobody's
    int sources = 1;         ///< spread over 127.0.1.x source addresses
    int destinations = 1;    ///< spread over destination addresses from host upwards
    int processes = 1;       ///< idle: descriptors are limited per process
    double hold_s = 0;       ///< idle: wait before memory is read
    std::string folder{"."}; ///< disk: where the file goes
};

/// Each mode prints one JSON object and returns the exit code.
int run_load(const Options& options);
int run_connects(const Options& options);
int run_idle(const Options& options);
/// All clients of a broker lose their connection at once and come back at once.
int run_storm(const Options& options);
/// Fills a broker with retained messages.
int run_retain(const Options& options);
/// Many clients ask for all retained messages at once.
int run_replay(const Options& options);
/// The limit of what is acknowledged from disk: write a batch, fdatasync, and again.
int run_disk(const Options& options);
/// The two limits of brokers in memory: a forwarder that reads frame lengths only, and an acceptor that
/// answers CONNACK. They end when they are killed.
int run_forwarder(const Options& options);
int run_acceptor(const Options& options);

} // namespace brim::bench
