#include "edge/time_floor.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace brim::edge {

using std::chrono::milliseconds;

TimeFloor::TimeFloor(io::Loop& loop, io::Disk& disk, std::string path)
    : loop_(loop), disk_(disk), path_(std::move(path)), known_at_(loop.clock().mono()), timer_(loop) {}

WallTime TimeFloor::stored(io::Disk& disk, const std::string& path) {
    const auto text = io::read_file(disk, path, 64);
    if (!text)
        return {};
    std::int64_t ms = 0;
    const auto [end, wrong] = std::from_chars(text->data(), text->data() + text->size(), ms);
    return {wrong == std::errc{} && ms > 0 ? ms : 0};
}

void TimeFloor::load() {
    const WallTime floor = stored(disk_, path_);
    believe(floor.ms > 0 ? floor : loop_.clock().wall());
}

WallTime TimeFloor::floor() const {
    const auto lived = std::chrono::duration_cast<milliseconds>(loop_.clock().mono() - known_at_);
    return {known_.ms + lived.count()};
}

WallTime TimeFloor::now() const {
    return std::max(loop_.clock().wall(), floor());
}

bool TimeFloor::clock_is_behind() const {
    return loop_.clock().wall().ms < floor().ms - milliseconds(agree_max).count();
}

milliseconds TimeFloor::wall_over_mono() const {
    const auto mono = std::chrono::duration_cast<milliseconds>(loop_.clock().mono().time_since_epoch());
    return milliseconds(loop_.clock().wall().ms) - mono;
}

void TimeFloor::believe(WallTime wall) {
    known_ = wall;
    known_at_ = loop_.clock().mono();
    claim_.reset();
}

void TimeFloor::look() {
    const WallTime wall = loop_.clock().wall();
    const milliseconds ahead{wall.ms - floor().ms};
    if (ahead <= drift_max) {
        if (ahead > milliseconds::zero())
            believe(wall);
        claim_.reset();
        return;
    }
    const Mono now = loop_.clock().mono();
    const milliseconds over = wall_over_mono();
    // A clock that wanders while it is doubted starts anew: it is not one wrong time that lasts.
    const bool same = claim_ && std::chrono::abs(over - claim_->ahead) <= drift_max;
    if (!same)
        claim_ = Claim{over, now};
    else if (now - claim_->since >= believe_after)
        believe(wall);
}

void TimeFloor::confirm(WallTime hub) {
    const WallTime wall = loop_.clock().wall();
    if (std::chrono::abs(milliseconds(wall.ms - hub.ms)) <= agree_max)
        believe(wall);
}

Result<void> TimeFloor::save() {
    return io::write_file_atomically(disk_, path_, std::to_string(floor().ms) + "\n");
}

void TimeFloor::keep(io::Worker& worker) {
    timer_.start(look_every, [this, &worker] {
        look();
        if (++looks_ % (save_every / look_every) == 0) {
            // A failed save only means an older floor after the next boot.
            worker.run(
                [this, text = std::to_string(floor().ms) + "\n"] {
                    (void)io::write_file_atomically(disk_, path_, text);
                },
                [] {}
            );
        }
        keep(worker);
    });
}

} // namespace brim::edge
