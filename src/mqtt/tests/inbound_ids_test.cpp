#include "mqtt/internal/inbound_ids.h"

#include "base/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace brim::mqtt {

TEST_CASE("inbound QoS 2 ids agree with a list under random steps") {
    // Few ids are searched, many are looked up: both, and the way between them.
    for (const std::uint32_t spread : {20u, 400u, 65'535u}) {
        InboundIds ids;
        std::vector<InboundQos2> model;
        SeededRandom random(spread);
        std::uint16_t next = 65'000;
        for (int step = 0; step < 20'000; ++step) {
            const bool is_in_turn = random.below(3) != 0;
            if (is_in_turn)
                next = static_cast<std::uint16_t>(next % 65'535 + 1);
            const auto id = is_in_turn ? next : static_cast<std::uint16_t>(random.below(spread) + 1);
            const auto known = std::ranges::find(model, id, &InboundQos2::packet_id);
            const std::size_t place = ids.find(id);
            CHECK((place == InboundIds::none) == (known == model.end()));
            const bool is_growing = step / 2'000 % 2 == 0;
            if (known == model.end()) {
                const bool is_counted = random.below(2) == 0;
                ids.push_back(id, is_counted, static_cast<AckToken>(step));
                model.push_back({id, is_counted, static_cast<AckToken>(step), 0});
            } else {
                REQUIRE(place == static_cast<std::size_t>(known - model.begin()));
                CHECK(ids[place].pending == known->pending);
                CHECK(ids[place].is_counted == known->is_counted);
                if (random.below(4) == 0) {
                    ids.count(place);
                    known->is_counted = true;
                } else {
                    ids.erase(place);
                    model.erase(known);
                }
            }
            if (!is_growing && !model.empty()) {
                for (int i = 0; i < 2 && !model.empty(); ++i) {
                    ids.erase(0);
                    model.erase(model.begin());
                }
            }
            if (random.below(500) == 0) {
                ids.uncount();
                for (InboundQos2& one : model)
                    one.is_counted = false;
            }
            REQUIRE(ids.size() == model.size());
            REQUIRE(
                ids.counted() ==
                static_cast<std::size_t>(std::ranges::count(model, true, &InboundQos2::is_counted))
            );
        }
    }
}

} // namespace brim::mqtt
