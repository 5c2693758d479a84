#pragma once
// What the outside world knows of a run: what was reported, what was acknowledged, what was asked of devices.
// It lives outside every simulated machine, so no crash can make it forget.

#include "io/sim/sim_world.h"
#include "thing/envelope.h"

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace brim::sim {

/// The properties of every simulated device: Speed is reported with a new value each time, Target is set by
/// the console and reported back.
enum class Property : std::uint8_t { speed, target };
std::string_view property_name(Property property) noexcept;

/// One value of one property of one device, and what its sender knows of it.
struct ValueFacts {
    unsigned sent = 0;    ///< transmissions to the edge or to the hub
    unsigned acked = 0;   ///< of those, acknowledged with success
    unsigned refused = 0; ///< of those, refused
    bool forged = false;  ///< sent by somebody who may not speak for the device
};

using ValueKey = std::tuple<std::string, Property, std::int64_t>; ///< device "{pk}/{dn}", property, value

/// A property set as the console knows it.
struct SetFacts {
    std::int64_t value = 0;
    bool stored = false;  ///< the hub promised that it is kept
    bool applied = false; ///< the device wrote it
};

class HistoryRecorder {
public:
    explicit HistoryRecorder(io::SimWorld& world) : world_(world) {}

    /// A value nobody has used yet; they grow.
    std::int64_t new_value() { return ++last_value_; }

    void sent(const std::string& device, Property property, std::int64_t value);
    void acked(const std::string& device, Property property, std::int64_t value);
    void refused(const std::string& device, Property property, std::int64_t value);
    /// `sender` reports in the name of a device that is not its own.
    void forged(const std::string& sender, const std::string& device, std::int64_t value);
    /// An MQTT 5 peer was told success for something it may not do.
    void forgery_accepted(const std::string& sender, const std::string& what);
    /// `receiver` got a message that is none of its business.
    void leaked(const std::string& receiver, const std::string& topic);

    /// Returns the number of the set, for set_stored().
    std::size_t set_asked(const std::string& device, std::int64_t value);
    void set_stored(const std::string& device, std::size_t number);
    void set_applied(const std::string& device, std::int64_t value);

    /// Counted by an edge: reports given up by policy, and reports the hub refused for good.
    void edge_gave_up(std::uint64_t dropped, std::uint64_t rejected);

    /// Reports the hub answered with a temporary refusal.
    void hub_refused(std::uint64_t count) { hub_refused_ += count; }

    const std::map<ValueKey, ValueFacts>& values() const { return values_; }

    const std::map<std::string, std::vector<SetFacts>>& sets() const { return sets_; }

    const std::vector<std::string>& leaks() const { return leaks_; }

    std::uint64_t dropped() const { return dropped_; }

    std::uint64_t rejected() const { return rejected_; }

    std::uint64_t refused_by_hub() const { return hub_refused_; }

    std::uint64_t acked_count() const { return acked_count_; }

    std::uint64_t forged_count() const { return forged_count_; }

private:
    void note(std::string_view what, const std::string& device, Property property, std::int64_t value);

    io::SimWorld& world_;
    std::map<ValueKey, ValueFacts> values_;
    std::map<std::string, std::vector<SetFacts>> sets_;
    std::vector<std::string> leaks_;
    std::int64_t last_value_ = 0;
    std::uint64_t dropped_ = 0;
    std::uint64_t rejected_ = 0;
    std::uint64_t hub_refused_ = 0;
    std::uint64_t acked_count_ = 0;
    std::uint64_t forged_count_ = 0;
};

} // namespace brim::sim
