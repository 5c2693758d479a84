#pragma once
// What the named fault tests share.

#include "sim/law_checker.h"

#include <doctest/doctest.h>

namespace brim::sim::test {

inline std::uint64_t run(Installation& installation, Duration span) {
    const std::uint64_t before = installation.recorder().acked_count();
    installation.world().run_for(span);
    return installation.recorder().acked_count() - before;
}

/// Ends all faults and checks the five laws; returns how many acknowledged reports are missing (which the
/// laws allow only when an edge counted as many as dropped).
inline std::uint64_t check_laws(Installation& installation) {
    installation.heal();
    installation.set_mood(Mood::obedient);
    LawChecker laws(installation);
    for (const Violation& violation : laws.check())
        FAIL_CHECK("L", violation.law, ": ", violation.text, " (seed ", installation.world().seed(), ")");
    return laws.missing();
}

inline void cut_uplink(Installation& installation, std::size_t edge) {
    installation.world().links().partition_both("edge-" + std::to_string(edge), std::string(hub_machine));
}

inline void heal_uplink(Installation& installation, std::size_t edge) {
    installation.world().links().heal_both("edge-" + std::to_string(edge), std::string(hub_machine));
}

} // namespace brim::sim::test
