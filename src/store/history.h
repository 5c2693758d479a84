#pragma once
// Property history: every value a device reported, by original time, behind one interface. Used on one thread
// at a time (the hub's history worker). The embedded implementation is sqlite_history.h.
//
// History is derived from a log: each append names the log position it covers and is stored with it in one
// transaction, so that applying the log again after a crash stores nothing twice.

#include "base/error.h"
#include "store/log.h"

#include <climits>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace brim::store {

/// A struct or array value as compact JSON text.
struct JsonText {
    std::string text;
    bool operator==(const JsonText&) const = default;
};

using HistoryValue = std::variant<std::int64_t, double, std::string, JsonText>;

struct HistoryPoint {
    std::int64_t device = 0;
    int property = 0;
    std::int64_t time_ms = 0;     ///< original time
    std::int64_t received_ms = 0; ///< when the log got it
    Seq seq = 0;                  ///< the record it came from: keeps two values of one millisecond apart
    bool replayed = false;        ///< came from the backlog of an outage
    HistoryValue value;
    bool operator==(const HistoryPoint&) const = default;
};

struct HistoryQuery {
    std::int64_t device = 0;
    int property = 0;
    std::int64_t from_ms = INT64_MIN; ///< inclusive
    std::int64_t to_ms = INT64_MAX;   ///< exclusive
    bool ascending = true;
    std::size_t limit = 1'000; ///< 1..10,000
    std::string cursor;        ///< opaque, from the page before; Errc::invalid when it is not one
};

struct HistoryPage {
    std::vector<HistoryPoint> points;
    std::string next; ///< empty at the end
};

/// Equal time buckets of numeric values; empty buckets are left out.
struct BucketQuery {
    std::int64_t device = 0;
    int property = 0;
    std::int64_t from_ms = 0;
    std::int64_t to_ms = 0;
    std::size_t buckets = 500; ///< 1..5,000
};

struct HistoryBucket {
    std::int64_t time_ms = 0; ///< start of the bucket
    double min = 0, max = 0, avg = 0;
    std::int64_t count = 0;
    bool replayed = false; ///< some value of it was
};

/// A small named value kept with the position (the hub's sets of delivered uplink numbers).
struct HistoryNote {
    std::string name; ///< 1..200 bytes
    std::string body; ///< empty = delete the note
};

/// One pass over all properties, in steps. Points may be appended between the steps.
struct DropSweep {
    // Where it is.
    std::int64_t device = INT64_MIN;
    int property = INT_MIN;
    bool inside = false; ///< this property may have more to drop
    // What came out so far.
    bool done = false;
    std::uint64_t dropped = 0;
    std::int64_t oldest_ms = INT64_MAX; ///< of the points left that may be dropped; this when there is none
};

class History {
public:
    virtual ~History() = default;
    /// Stores points and notes and moves the position to `up_to`, all or nothing. Points at or below the
    /// present position must not be passed again (asserted).
    virtual Result<void>
    append(const std::vector<HistoryPoint>& points, const std::vector<HistoryNote>& notes, Seq up_to) = 0;
    virtual Seq applied() const = 0;
    /// Makes everything appended so far durable and returns the position that is: the log may be trimmed up
    /// to it.
    virtual Result<Seq> checkpoint() = 0;
    virtual Result<std::vector<HistoryNote>> notes() = 0;

    virtual Result<HistoryPage> query(const HistoryQuery& query) = 0;
    virtual Result<std::vector<HistoryBucket>> buckets(const BucketQuery& query) = 0;
    /// The newest point (by time, then seq) of every property of every device.
    virtual Result<std::vector<HistoryPoint>> latest() = 0;
    virtual Result<void> forget_device(std::int64_t device) = 0;
    /// One step of dropping points whose time is before `before_ms`: at most `points_max` of them (at least
    /// 1), in one transaction, going on where `sweep` is. The newest point of every property stays whatever
    /// its age: it is what the device shows.
    virtual Result<void> drop_step(std::int64_t before_ms, std::size_t points_max, DropSweep& sweep) = 0;
    /// Bytes that hold something; what was dropped is room for new points, the file does not shrink.
    virtual Result<std::uint64_t> bytes_used() = 0;
    virtual Result<std::uint64_t> point_count() = 0;
};

} // namespace brim::store
