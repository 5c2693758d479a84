#pragma once
// The hub's durable entrance for device data. A report becomes a record of the ingress log; only when that is
// synced is the device answered and do current values, history, feed and rules see it. History is derived:
// after a crash it is made again from the log, starting at the position stored with it. Loop thread only.

#include "hub/feed.h"
#include "hub/registry.h"
#include "hub/uplink_mark.h"
#include "store/history.h"
#include "store/log.h"
#include "store/retention.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brim::hub {

/// How a device meant it: as what it sees now, or as history, which never becomes the current value.
enum class Telling : std::uint8_t { live, history };

struct IngestOptions {
    std::string folder;
    std::uint64_t log_bytes_max = 4'294'967'296;
    std::uint32_t segment_bytes = 8'388'608;
    std::chrono::milliseconds history_every{200
    }; ///< how long applied records may wait for their history batch
    std::size_t history_batch_max = 20'000; ///< points in one database transaction
    std::size_t stores_per_gateway_max = 8; ///< remembered edge stores; the oldest is forgotten
    /// Messages of one edge store that may wait until its new run is durable: no edge's window is wider.
    std::size_t run_waiting_max = 65'535;
    store::RetentionLimits retention{};
    std::chrono::milliseconds retention_every{60'000}; ///< from the end of one pass to the next
    std::chrono::milliseconds retention_pause{20};     ///< between its steps
};

struct IngestStats {
    std::uint64_t received = 0;   ///< reports offered
    std::uint64_t stored = 0;     ///< reports made durable
    std::uint64_t duplicates = 0; ///< acknowledged again without storing
    std::uint64_t failed = 0;     ///< refused because the log could not take them
    std::uint64_t values = 0;     ///< property values stored
    std::uint64_t history_points = 0;
    std::uint64_t history_bytes = 0;  ///< that hold something
    std::int64_t free_bytes = -1;     ///< of the disk, -1 before; all three as of the last write of history
    std::uint64_t dropped_by_age = 0; ///< points, since start
    std::uint64_t dropped_by_bytes = 0;
    store::LogStats log;
};

class Ingest {
public:
    /// Called on the loop for every durable report, in log order; also at start for those that history had
    /// not yet.
    class Sink {
    public:
        virtual ~Sink() = default;
        virtual void
        on_values(Device& device, const std::vector<std::pair<PropertyId, thing::Value>>& newest) = 0;
    };

    using Done = std::move_only_function<void(Result<void>)>;

    /// Opens log and history and applies what history lacks. Blocking.
    static Result<std::unique_ptr<Ingest>>
    open(io::Env& env, Registry& registry, Feed& feed, IngestOptions options);
    ~Ingest();

    void set_sink(Sink* sink) { sink_ = sink; }

    /// `done` comes once the samples are durable (or were before: a duplicate by mark). Samples carry indices
    /// of the product's current model.
    /// At most 1,000 samples.
    void report(
        Device& device,
        const std::vector<thing::Sample>& samples,
        std::optional<UplinkMark> mark,
        Done done,
        Telling telling = Telling::live
    );
    void event(
        Device& device,
        std::string_view identifier,
        std::string_view output_json,
        std::int64_t time_ms,
        std::optional<UplinkMark> mark,
        Done done,
        Telling telling = Telling::live
    );
    /// Nothing to keep, but the edge must see it settled (all values rejected, unknown event): remembers the
    /// mark only.
    void settle(UplinkMark mark, Done done);

    /// Reads that run on the history worker and see everything acknowledged before they were asked; points
    /// come with properties as PropertyId.
    void query(store::HistoryQuery query, std::move_only_function<void(Result<store::HistoryPage>)> done);
    void buckets(
        store::BucketQuery query,
        std::move_only_function<void(Result<std::vector<store::HistoryBucket>>)> done
    );
    void forget_device(DeviceId device, Done done);

    /// From now on; what is over the new limits goes in the background.
    void set_retention(const store::RetentionLimits& limits);
    const store::RetentionLimits& retention() const;

    IngestStats stats() const;
    /// Makes everything durable and closes.
    void close(std::move_only_function<void()> done);

private:
    struct State;
    explicit Ingest(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
    Sink* sink_ = nullptr;
};

} // namespace brim::hub
