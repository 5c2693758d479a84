#include "edge/time_floor.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace brim::edge {

TimeFloor::TimeFloor(io::Loop& loop, io::Disk& disk, std::string path)
    : loop_(loop), disk_(disk), path_(std::move(path)), started_(loop.now()), timer_(loop) {}

void TimeFloor::load() {
    started_ = loop_.now();
    floor_ = WallTime{};
    const auto text = io::read_file(disk_, path_, 64);
    if (!text)
        return;
    std::int64_t ms = 0;
    const auto [end, wrong] = std::from_chars(text->data(), text->data() + text->size(), ms);
    if (wrong == std::errc{} && ms > 0)
        floor_.ms = ms;
}

WallTime TimeFloor::now() const {
    const auto lived = std::chrono::duration_cast<std::chrono::milliseconds>(loop_.clock().mono() - started_);
    return std::max(loop_.clock().wall(), WallTime{floor_.ms + lived.count()});
}

bool TimeFloor::clock_is_behind() const {
    return loop_.clock().wall() < floor_;
}

Result<void> TimeFloor::save() {
    return io::write_file_atomically(disk_, path_, std::to_string(now().ms) + "\n");
}

void TimeFloor::keep(io::Worker& worker) {
    timer_.start(save_every, [this, &worker] {
        // A failed save only means an older floor after the next boot.
        worker.run(
            [this, text = std::to_string(now().ms) + "\n"] {
                (void)io::write_file_atomically(disk_, path_, text);
            },
            [] {}
        );
        keep(worker);
    });
}

} // namespace brim::edge
