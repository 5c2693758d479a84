#pragma once
// What Ingest is made of: taking reports (../ingest.cpp), and putting them into history
// (../ingest_history.cpp).

#include "hub/current_notes.h"
#include "hub/delivered.h"
#include "hub/ingest.h"
#include "hub/ingress_record.h"
#include "store/retention.h"

#include <atomic>
#include <deque>

namespace brim::hub {

struct Ingest::State {
    /// A message on its way into the log.
    struct Offer {
        IngressRecord record;
        Done done;
        EdgeRuns runs; ///< of UplinkMark
    };

    State(io::Env& environment, Registry& devices, Feed& events, IngestOptions given)
        : env(environment), registry(devices), feed(events), options(std::move(given)),
          delivered(options.stores_per_gateway_max), flush_timer(environment.loop()),
          checkpoint_timer(environment.loop()), retention_timer(environment.loop()),
          retention(options.retention),
          runs(environment.metrics().counter("brim_edge_runs", "Starts of edges noticed by their numbers")),
          dropped_by_age(environment.metrics().counter(
              "brim_history_dropped_points", "Points dropped by retention", R"(reason="age")"
          )),
          dropped_by_bytes(environment.metrics().counter(
              "brim_history_dropped_points", "Points dropped by retention", R"(reason="bytes")"
          )) {}

    Result<void> open();
    Result<void> catch_up();
    Offer make_offer(RecordKind kind, DeviceId device, std::optional<UplinkMark> mark, Done done);
    void submit(Offer offer);
    bool wait_for_run(Offer& offer);
    void begin_run(Offer offer);
    void store_offer(IngressRecord record, Done done);
    void refuse(Done done, Error error);
    void begin_numbers(const IngressRecord& record);
    void apply(const IngressRecord& record, store::Seq at, Ingest::Sink* sink);
    void apply_values(Device& device, const IngressRecord& record, store::Seq at, Ingest::Sink* sink);
    void publish_values(const Device& device, const IngressRecord& record);
    void apply_event(Device& device, const IngressRecord& record, store::Seq at);
    void
    add_point(const Device& device, const IngressRecord& record, const IngressSample& sample, store::Seq at);
    std::vector<store::HistoryNote> take_notes();
    void flush();
    void when_written(io::Work read);
    void run_readers(store::Seq written);
    void checkpoint();
    void start_timers();
    void apply_retention();
    /// Worker (or before it starts): how much history there is and how much room.
    void note_room();

    io::Env& env;
    Registry& registry;
    Feed& feed;
    IngestOptions options;
    std::unique_ptr<store::Log> log;
    std::unique_ptr<store::History> history; ///< only the worker touches it after open()
    Delivered delivered;
    /// By gateway and edge store: what waits, in order, until the run it belongs to is durable.
    std::map<std::pair<DeviceId, std::string>, std::deque<Offer>> new_runs;
    CurrentNotes current;
    std::vector<store::HistoryPoint> points; ///< applied, waiting for the next history transaction
    store::Seq applied = 0;                  ///< the last record in `points` or before
    store::Seq flushed = 0;                  ///< handed to the worker
    std::size_t flushing = 0;                ///< points the worker has
    /// Reads that wait until history has what was acknowledged before they were asked: position and read.
    std::deque<std::pair<store::Seq, io::Work>> readers;
    io::Timer flush_timer;
    io::Timer checkpoint_timer;
    io::Timer retention_timer;
    store::Retention retention; ///< only the worker touches it after open()
    Counter& runs;
    Counter& dropped_by_age;
    Counter& dropped_by_bytes;
    bool told_stuck = false;
    /// Written by the worker, read by the loop.
    std::atomic<std::uint64_t> history_points{0}, history_bytes{0};
    std::atomic<std::int64_t> free_bytes{-1}; ///< -1: not measured yet
    IngestStats stats;
    Ingest* owner = nullptr;
    bool closing = false;
    std::move_only_function<void()> closed;
    std::unique_ptr<io::Worker> worker; ///< last member: destroyed first, its jobs use history
};

} // namespace brim::hub
