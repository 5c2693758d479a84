#include "edge/ledger.h"

namespace brim::edge {

std::uint64_t Ledger::sum(const Reasons& reasons) {
    std::uint64_t total = 0;
    for (const auto& [reason, count] : reasons)
        total += count;
    return total;
}

bool Ledger::balanced(std::uint64_t held, std::uint64_t waiting) const {
    return accepted == stored + unsaved + waiting &&
           held_at_start + stored == acknowledged + sum(rejected_) + sum(dropped_) + held;
}

void Ledger::add(
    Reasons& to, std::string_view what, std::string_view help, std::string_view reason, std::uint64_t count
) {
    if (count == 0)
        return;
    to[std::string(reason)] += count;
    metrics_.counter("brim_edge_" + std::string(what), help, "reason=\"" + std::string(reason) + "\"")
        .add(count);
}

} // namespace brim::edge
