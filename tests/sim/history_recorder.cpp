#include "sim/history_recorder.h"

namespace brim::sim {

std::string_view property_name(Property property) noexcept {
    return property == Property::speed ? "Speed" : "Target";
}

void HistoryRecorder::note(
    std::string_view what, const std::string& device, Property property, std::int64_t value
) {
    world_.note(
        "recorder",
        std::string(what) + " " + device + " " + std::string(property_name(property)) + "=" +
            std::to_string(value)
    );
}

void HistoryRecorder::sent(const std::string& device, Property property, std::int64_t value) {
    ++values_[{device, property, value}].sent;
    note("sent", device, property, value);
}

void HistoryRecorder::acked(const std::string& device, Property property, std::int64_t value) {
    ++values_[{device, property, value}].acked;
    ++acked_count_;
    note("acked", device, property, value);
}

void HistoryRecorder::refused(const std::string& device, Property property, std::int64_t value) {
    ++values_[{device, property, value}].refused;
    note("refused", device, property, value);
}

void HistoryRecorder::forged(const std::string& sender, const std::string& device, std::int64_t value) {
    values_[{device, Property::speed, value}].forged = true;
    ++forged_count_;
    note("forged by " + sender, device, Property::speed, value);
}

void HistoryRecorder::forgery_accepted(const std::string& sender, const std::string& what) {
    leaks_.push_back(sender + " was told success for " + what);
}

void HistoryRecorder::leaked(const std::string& receiver, const std::string& topic) {
    leaks_.push_back(receiver + " received " + topic);
}

std::size_t HistoryRecorder::set_asked(const std::string& device, std::int64_t value) {
    note("asked", device, Property::target, value);
    auto& sets = sets_[device];
    sets.push_back({.value = value});
    return sets.size() - 1;
}

void HistoryRecorder::set_stored(const std::string& device, std::size_t number) {
    SetFacts& facts = sets_[device][number];
    facts.stored = true;
    note("kept", device, Property::target, facts.value);
}

void HistoryRecorder::set_applied(const std::string& device, std::int64_t value) {
    note("applied", device, Property::target, value);
    for (SetFacts& facts : sets_[device]) {
        if (facts.value == value)
            facts.applied = true;
    }
}

void HistoryRecorder::edge_gave_up(std::uint64_t dropped, std::uint64_t rejected) {
    dropped_ += dropped;
    rejected_ += rejected;
}

} // namespace brim::sim
