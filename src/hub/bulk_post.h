#pragma once
// What one device says in a pack, batch or history post (hub-protocol 3.1): many values and events at a time,
// checked one by one (weak validation: what is wrong is listed, the rest is kept). Pure.

#include "thing/value.h"

#include <string>
#include <vector>

namespace brim::hub {

/// Of one post, or of one event's outputs: what is wrong beyond is left out as well, but not told.
inline constexpr std::size_t rejected_names_max = 200;

/// An event that fits its model.
struct EventReading {
    std::string identifier;
    std::string output; ///< JSON
    std::int64_t time_ms = 0;
};

/// An event's `{"value":{..},"time":n}` or flat map of outputs, as it may be kept; outputs (and a time) that
/// do not fit go into `rejected`, name -> why, up to rejected_names_max.
EventReading read_event(
    const thing::Event& event,
    const Json& given,
    std::int64_t received_ms,
    std::int64_t future_ms_max,
    Json& rejected
);

class BulkPost {
public:
    /// `model` outlives it. Times up to `future_ms_max` ahead of `received_ms` are taken.
    BulkPost(const thing::Model& model, std::int64_t received_ms, std::int64_t future_ms_max)
        : model_(model), received_ms_(received_ms), future_ms_max_(future_ms_max) {}

    /// {"Power":{"value":"on","time":1},"WF":23.6}
    void add_properties(const Json& map);
    /// {"alarm":{"value":{..},"time":1}}
    void add_events(const Json& map);
    /// The same with an array of such entries for each name.
    void add_property_lists(const Json& map);
    void add_event_lists(const Json& map);

    std::vector<thing::Sample> samples;
    std::vector<EventReading> events;
    Json rejected =
        Json::object(); ///< property or event -> why, up to rejected_names_max; of several reasons the first
    std::size_t values_seen = 0; ///< entries, kept or not
    std::size_t events_seen = 0;

private:
    void add_property(const std::string& name, const Json& entry);
    void add_event(const std::string& name, const Json& entry);
    void reject(std::string_view name, std::string_view why);

    const thing::Model& model_;
    std::int64_t received_ms_;
    std::int64_t future_ms_max_;
};

} // namespace brim::hub
