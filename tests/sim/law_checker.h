#pragma once
// The five laws (durability, exactly once, order, isolation, liveness), checked on a quiet installation
// against what the recorder knows.

#include "sim/installation.h"
#include "sim/violation.h"

#include <string>
#include <vector>

namespace brim::sim {

/// Everything the hub's history holds of one property, in order of arrival.
using Points = std::vector<store::HistoryPoint>;

class LawChecker {
public:
    explicit LawChecker(Installation& installation) : installation_(installation) {}

    /// L5: faults have stopped; everything must be well again within 60 s. Then reads history and checks L1
    /// to L4.
    std::vector<Violation> check();

    /// Acknowledged reports that history lacks, found by check().
    std::uint64_t missing() const { return missing_; }

    /// For tests that look at more than the laws. Needs a running hub.
    Points history(const thing::DeviceKey& device, Property property);

    static constexpr std::chrono::seconds settle_max{60};

private:
    void report(unsigned law, std::string text);
    void check_values(const thing::DeviceKey& device, Property property, const Points& points);
    void check_order(const thing::DeviceKey& device, const Points& points);
    void check_sets();

    Installation& installation_;
    std::vector<Violation> violations_;
    std::uint64_t missing_ = 0;
    std::string first_missing_;
};

} // namespace brim::sim
