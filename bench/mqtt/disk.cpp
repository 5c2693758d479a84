// disk: what the disk itself allows for messages that are acknowledged after a sync, so many at a time.

#include "mqtt/meters.h"
#include "mqtt/options.h"

#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace brim::bench {

namespace {

constexpr std::size_t file_bytes = 16 * 1024 * 1024; // a segment: written once before, then again and again
constexpr std::size_t frame_bytes = 40;              // of a record: length, number, checksum, topic

void write_all(int fd, const std::string& bytes, std::size_t at) {
    if (pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(bytes.size()))
        give_up("write");
}

} // namespace

int run_disk(const Options& options) {
    const std::string file = options.folder + "/disk.bench";
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up(file.c_str());
    unlink(file.c_str());
    write_all(fd, std::string(file_bytes, '\0'), 0);
    fsync(fd);
    const auto records = static_cast<std::size_t>(options.total);
    const std::string batch(records * (static_cast<std::size_t>(options.payload_bytes) + frame_bytes), 'x');
    std::uint64_t batches = 0;
    std::size_t at = 0;
    const auto run_until = [&](std::uint64_t end) {
        for (batches = 0; now_ns() < end; ++batches) {
            write_all(fd, batch, at);
            if (fdatasync(fd) != 0)
                give_up("fdatasync");
            at = at + 2 * batch.size() <= file_bytes ? at + batch.size() : 0;
        }
    };
    run_until(now_ns() + static_cast<std::uint64_t>(options.warm_s * 1e9));
    const std::uint64_t cpu_before = cpu_ns(getpid());
    const std::uint64_t start = now_ns();
    run_until(start + static_cast<std::uint64_t>(options.measure_s * 1e9));
    const double seconds = static_cast<double>(now_ns() - start) / 1e9;
    const double cpu_s = static_cast<double>(cpu_ns(getpid()) - cpu_before) / 1e9;
    const double written = static_cast<double>(batches * records);
    JsonRow row;
    row.text("label", options.label).text("mode", options.mode).number("n", options.total);
    row.number("per_s", written / seconds).number("per_cpu_s", cpu_s > 0 ? written / cpu_s : 0);
    row.number("sync_us", batches > 0 ? seconds * 1e6 / static_cast<double>(batches) : 0).print();
    close(fd);
    return 0;
}

} // namespace brim::bench
